"""Upstreams that speak Responses: OpenAI, Moonshot's `/v1/responses` and vLLM.

Their answers become chat as they arrive, so that the rest knows one shape of an answer only.
"""

from gateway.upstream.responses.client import ResponsesUpstream

__all__ = ["ResponsesUpstream"]
