"""Upstreams that speak Messages: Anthropic, Moonshot's `/anthropic`, vLLM and Ollama.

Their answers become chat as they arrive, so that the rest knows one shape of an answer only.
"""

from gateway.upstream.messages.client import MessagesUpstream

__all__ = ["MessagesUpstream"]
