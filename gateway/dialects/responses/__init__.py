"""Upstreams that speak Responses: OpenAI, Moonshot's `/v1/responses` and vLLM."""
