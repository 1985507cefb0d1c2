"""The messages dialect: Anthropic's Messages API.

types       what is on the wire          history, blocks, pairing, tools    its parts, read
parse       bytes to a request           assembly, stream, render           events to bytes
count       tokens of a request, and a cheap estimate of them
"""

from gateway.dialects.messages.dialect import MessagesDialect

__all__ = ["MessagesDialect"]
