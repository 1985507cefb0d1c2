"""Upstreams that speak chat: Moonshot's Kimi, and engines such as vLLM, SGLang and Ollama."""

from gateway.upstream.chat.client import ChatUpstream

__all__ = ["ChatUpstream"]
