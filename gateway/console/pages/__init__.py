"""The pages of the console, a module each; `gateway.console` explains how to add one."""
