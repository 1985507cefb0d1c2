"""Sampling and the other scalar parameters: sent, dropped or refused, as the profile requires.

Dropped are those that only shade the answer, and `degraded` names them; refused are those whose
absence would break what the client does with it (`n`, `logprobs`, too many stop sequences).
"""

from operator import attrgetter
from typing import Any

import msgspec

from gateway.core.catalog import Resolution
from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.profile import TEMPLATE_EFFORT, Profile
from gateway.core.request import Request, Sampling
from gateway.dialects.adapt.prepare import one_choice_only

#: sent where the profile has them, else dropped and named
_OPTIONAL_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logit_bias",
)
_read_optional_sampling = attrgetter(*_OPTIONAL_SAMPLING)
_SILENT = Sampling()


def write_parameters(
    body: dict[str, Any], request: Request, resolution: Resolution, degraded: list[str]
) -> None:
    """Add the parameters to `body`, and to `degraded` what the upstream will not see."""
    profile = resolution.model.profile
    if request.sampling != _SILENT:
        _write_sampling(body, request, profile, degraded)
    if request.stop:
        _write_stop(body, request, profile, degraded)
    if request.max_tokens is not None:
        limit = resolution.model.max_output_tokens or request.max_tokens
        body[profile.max_tokens_member] = min(request.max_tokens, limit)
    if request.parallel_tool_calls is not None and request.tools:
        if _takes(profile, "parallel_tool_calls"):
            body["parallel_tool_calls"] = request.parallel_tool_calls
        elif not request.parallel_tool_calls:
            degraded.append("parallel_tool_calls")
    if request.cache_key and _takes(profile, "prompt_cache_key"):
        body["prompt_cache_key"] = request.cache_key
    if request.safety_identifier and _takes(profile, "safety_identifier"):
        body["safety_identifier"] = request.safety_identifier
    if request.extra:
        _write_extra(body, request, profile, degraded)


def _takes(profile: Profile, name: str) -> bool:
    return name in profile.parameters and name not in profile.fixed


def _write_sampling(
    body: dict[str, Any], request: Request, profile: Profile, degraded: list[str]
) -> None:
    sampling = request.sampling
    for name, value in zip(_OPTIONAL_SAMPLING, _read_optional_sampling(sampling), strict=True):
        if value is None:
            continue
        if _takes(profile, name):
            body[name] = value
        else:
            degraded.append(name)
    if sampling.n is not None and sampling.n > 1:
        if not _takes(profile, "n"):
            raise one_choice_only()
        body["n"] = sampling.n
    if sampling.logprobs:
        if not _takes(profile, "logprobs"):
            raise no_logprobs()
        body["logprobs"] = True
        if sampling.top_logprobs is not None:
            body["top_logprobs"] = sampling.top_logprobs


def _write_extra(
    body: dict[str, Any], request: Request, profile: Profile, degraded: list[str]
) -> None:
    for name, raw in request.extra.items():
        if _takes(profile, name):
            body[name] = raw
        else:
            degraded.append(name)


def _write_stop(
    body: dict[str, Any], request: Request, profile: Profile, degraded: list[str]
) -> None:
    if not _takes(profile, "stop"):
        degraded.append("stop")
        return
    body["stop"] = fit_stop(request, profile)


def fit_stop(request: Request, profile: Profile) -> list[str]:
    """The stop sequences; raises `InvalidRequest` where they are too many, or one is too long."""
    count_max, bytes_max = profile.stop_count_max, profile.stop_bytes_max
    if count_max is not None and len(request.stop) > count_max:
        raise InvalidRequest(f"This model takes at most {count_max} stop sequences.", param="stop")
    if bytes_max is not None and any(len(one.encode()) > bytes_max for one in request.stop):
        raise InvalidRequest(
            f"A stop sequence of this model has at most {bytes_max} bytes.", param="stop"
        )
    return list(request.stop)


def no_logprobs() -> UnsupportedParameter:
    """The refusal of log probabilities."""
    return UnsupportedParameter("This model does not give log probabilities.", param="logprobs")


def write_template(body: dict[str, Any], request: Request, resolution: Resolution) -> None:
    """Switch reasoning in an engine's own words, beside the client's arguments for its template.

    Nothing is written where neither the client nor the model's settings ask: another server than
    an engine would refuse the member.
    """
    on, model = resolution.reasoning, resolution.model
    is_wanted = on or request.reasoning.on is not None or model.reasoning_forced is not None
    if not is_wanted and "chat_template_kwargs" not in body:
        return
    arguments = {}
    if "chat_template_kwargs" in body:
        arguments = msgspec.json.decode(body["chat_template_kwargs"])
        if not on:
            arguments.pop(TEMPLATE_EFFORT, None)
    body["chat_template_kwargs"] = {**arguments, "thinking": on, "enable_thinking": on}
