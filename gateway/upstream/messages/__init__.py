"""Upstreams that speak Messages: Anthropic, Moonshot's `/anthropic`, vLLM and Ollama."""
