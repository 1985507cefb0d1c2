"""Upstreams that speak chat: Moonshot's Kimi, and engines such as vLLM, SGLang and Ollama."""
