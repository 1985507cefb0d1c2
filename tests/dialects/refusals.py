"""Refusals of providers, engines and other gateways, one line each: what they send, what it means.

Facts from their documents, their sources and public threads. `means` is a name of `MEANINGS` in
`test_refusals.py`; `counts` are the tokens of the input, of the cap of output, and of the window.
"""

from typing import Any, NamedTuple

Counts = tuple[int | None, int | None, int | None]


class Refusal(NamedTuple):
    provider: str
    status: int
    body: Any
    means: str
    counts: Counts | None = None
    #: the words that the client reads, where they are the provider's
    words: str = ""


def _openai(message: str, kind: str | None = "invalid_request_error", code: Any = None) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(kind: str, message: str) -> Any:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def _google(code: int, status: str, message: str, details: Any = None) -> Any:
    error = {"code": code, "message": message, "status": status}
    return {"error": error | ({"details": details} if details else {})}


def _flat(message: str, kind: str = "BadRequestError", code: Any = 400) -> Any:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


_LIMIT_128K = "This model's maximum context length is 128000 tokens. "
_REDUCE = " Please reduce the length of the messages or completion."


def _wait(message: str, **members: Any) -> Any:
    return {"error": {"message": message, "code": "rate_limit_exceeded", **members}}


_KEY_INVALID = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
_RETRY_37 = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}]
_BEDROCK = "The model returned the following errors: "

R = Refusal
REFUSALS = [
    # OpenAI, "Error codes"
    R("OpenAI", 400, _openai(_LIMIT_128K + "However, your messages resulted in 130000 tokens.", code="context_length_exceeded"), "overflow", (130000, None, 128000)),
    R("OpenAI", 400, _openai("Your input exceeds the context window of this model. Please adjust your input and try again.", code="context_length_exceeded"), "overflow"),
    R("OpenAI", 400, _openai("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (5000 in the messages, 4000 in the completion)." + _REDUCE, code="context_length_exceeded"), "overflow", (5000, 4000, 8192)),
    R("OpenAI", 400, _openai("max_tokens is too large: 200000. This model supports at most 16384 completion tokens, whereas you provided 200000.", code="invalid_value"), "invalid", words="max_tokens is too large"),
    R("OpenAI", 400, _openai("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", code="unsupported_parameter"), "invalid", words="max_completion_tokens"),
    R("OpenAI", 400, _openai("Invalid schema for function 'get': In context=(), object schema missing properties", code="invalid_function_parameters"), "invalid", words="missing properties"),
    R("OpenAI", 400, _openai("Error while downloading https://example.com/a.png.", code="invalid_image_url"), "invalid", words="a.png"),
    R("OpenAI", 400, _openai("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt"), "filtered", words="flagged"),
    R("OpenAI", 400, _openai("Billing hard limit has been reached", code="billing_hard_limit_reached"), "misconfigured"),
    R("OpenAI", 401, _openai("Incorrect API key provided: sk-abc.", code="invalid_api_key"), "misconfigured"),
    R("OpenAI", 401, _openai("You must be a member of an organization to use the API"), "misconfigured"),
    R("OpenAI", 403, _openai("Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"), "misconfigured"),
    R("OpenAI", 403, _openai("Project `proj_abc` does not have access to model `gpt-5`", code="model_not_found"), "misconfigured"),
    R("OpenAI", 404, _openai("The model `gpt-9` does not exist or you do not have access to it.", code="model_not_found"), "misconfigured"),
    R("OpenAI", 429, _openai("Rate limit reached for gpt-4o in organization org-abc on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.", "tokens", "rate_limit_exceeded"), "overloaded"),
    R("OpenAI", 429, _openai("Request too large for gpt-4 in organization org-abcd on tokens per min (TPM): Limit 10000, Requested 12000. The input or output tokens must be reduced in order to run successfully.", "tokens", "rate_limit_exceeded"), "too large", words="Limit 10000, Requested 12000"),
    R("OpenAI", 429, _openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota"), "misconfigured"),
    R("OpenAI", 500, _openai("The server had an error while processing your request. Sorry about that!", "server_error"), "failed"),
    R("OpenAI", 503, _openai("The engine is currently overloaded, please try again later", "server_error"), "overloaded"),
    R("OpenAI", 503, _openai("Slow down", "server_error", "slow_down"), "overloaded"),
    R("OpenAI", 400, _openai("Your organization must be verified to stream this model. Please go to the settings of your organization.", code="unsupported_value"), "misconfigured"),
    R("OpenAI", 400, _openai("This content was flagged for possible cybersecurity risk.", "invalid_request", "cyber_policy"), "filtered", words="cybersecurity"),
    # Azure OpenAI, Azure AI Foundry
    R("Azure", 400, {"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", "type": None, "param": "prompt", "code": "content_filter", "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, "filtered", words="content management policy"),
    R("Azure", 400, {"error": {"code": "context_length_exceeded", "message": "This model's maximum context length is 16385 tokens. However, your messages resulted in 20000 tokens."}}, "overflow", (20000, None, 16385)),
    R("Azure", 400, {"error": {"code": "OperationNotSupported", "message": "The chatCompletion operation does not work with the specified model, text-embedding-3."}}, "misconfigured"),
    R("Azure", 401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}}, "misconfigured"),
    R("Azure", 401, {"statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, audience is incorrect, or have expired."}, "misconfigured"),
    R("Azure", 403, {"error": {"code": "AuthenticationTypeDisabled", "message": "Key based authentication is disabled for this resource."}}, "misconfigured"),
    R("Azure", 404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}, "misconfigured"),
    R("Azure", 404, {"error": {"code": "404", "message": "Resource not found"}}, "misconfigured"),
    R("Azure", 408, {"error": {"code": "Timeout", "message": "The operation was timeout."}}, "timed out"),
    R("Azure", 429, {"error": {"code": "429", "message": "Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 7 seconds."}}, "overloaded"),
    R("Azure", 429, {"error": {"code": "RateLimitReached", "message": "Rate limit of 1 per 60s exceeded for UserByModelByMinute."}}, "overloaded"),
    R("Azure", 500, {"error": {"code": "InternalServerError", "message": "Internal server error"}}, "failed"),
    R("Azure", 400, {"error": {"code": "BadRequest", "message": "API version not supported"}}, "misconfigured"),
    # Anthropic, "Errors"
    R("Anthropic", 400, _anthropic("invalid_request_error", "prompt is too long: 215000 tokens > 200000 maximum"), "overflow", (215000, None, 200000)),
    R("Anthropic", 400, _anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"), "overflow", (190000, 20000, 200000)),
    R("Anthropic", 400, _anthropic("invalid_request_error", "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for claude-x"), "invalid", words="200000 > 64000"),
    R("Anthropic", 400, _anthropic("invalid_request_error", "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes"), "invalid", words="exceeds 5 MB"),
    R("Anthropic", 400, _anthropic("invalid_request_error", "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1."), "invalid", words="toolu_1"),
    R("Anthropic", 400, _anthropic("invalid_request_error", "Output blocked by content filtering policy"), "filtered", words="content filtering"),
    R("Anthropic", 400, _anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), "misconfigured"),
    R("Anthropic", 400, _anthropic("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."), "misconfigured"),
    R("Anthropic", 401, _anthropic("authentication_error", "invalid x-api-key"), "misconfigured"),
    R("Anthropic", 402, _anthropic("billing_error", "Your payment could not be processed."), "misconfigured"),
    R("Anthropic", 403, _anthropic("permission_error", "OAuth authentication is currently not allowed for this organization."), "misconfigured"),
    R("Anthropic", 404, _anthropic("not_found_error", "model: claude-9"), "misconfigured"),
    R("Anthropic", 413, _anthropic("request_too_large", "Request exceeds the maximum size"), "too large", words="maximum size"),
    R("Anthropic", 429, _anthropic("rate_limit_error", "This request would exceed the rate limit for your organization of 40,000 input tokens per minute."), "overloaded"),
    R("Anthropic", 500, _anthropic("api_error", "Internal server error"), "failed"),
    R("Anthropic", 504, _anthropic("timeout_error", "Request timed out"), "timed out"),
    R("Anthropic", 529, _anthropic("overloaded_error", "Overloaded"), "overloaded"),
    R("Anthropic", 400, _anthropic("invalid_request_error", "This organization has been disabled."), "misconfigured"),
    R("Anthropic", 400, _anthropic("invalid_request_error", "You're out of extra usage. Add more in your settings and keep going."), "misconfigured"),
    # Amazon Bedrock, "Troubleshooting error codes"
    R("Bedrock", 400, {"message": "Input is too long for requested model."}, "overflow"),
    R("Bedrock", 400, {"message": _BEDROCK + "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}, "overflow", (190000, 20000, 200000)),
    R("Bedrock", 400, {"message": _BEDROCK + "prompt is too long: 215000 tokens > 200000 maximum"}, "overflow", (215000, None, 200000)),
    R("Bedrock", 400, {"message": "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096."}, "invalid", words="lower than 4096"),
    R("Bedrock", 400, {"message": "Invocation of model ID anthropic.claude-x with on-demand throughput isn't supported. Retry your request with the ID or ARN of an inference profile that contains this model."}, "misconfigured"),
    R("Bedrock", 400, {"message": "The provided model identifier is invalid."}, "misconfigured"),
    R("Bedrock", 400, {"__type": "com.amazon.coral.availability#ThrottlingException", "message": "Rate exceeded"}, "overloaded"),
    R("Bedrock", 403, {"message": "You don't have access to the model with the specified model ID."}, "misconfigured"),
    R("Bedrock", 403, {"message": "The security token included in the request is expired"}, "misconfigured"),
    R("Bedrock", 408, {"message": "Model has timed out in processing the request. Try your request again."}, "timed out"),
    R("Bedrock", 424, {"message": "The request failed due to an error while processing the model.", "originalStatusCode": 500}, "failed"),
    R("Bedrock", 429, {"message": "Too many tokens, please wait before trying again."}, "overloaded"),
    R("Bedrock", 429, {"message": "Model is not ready for inference."}, "overloaded"),
    R("Bedrock", 400, {"message": _BEDROCK + "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again."}, "overflow"),
    R("Bedrock", 503, {"message": "Bedrock is unable to process your request."}, "overloaded"),
    R("Bedrock", 400, {"message": "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 9279 "}, "overflow", (9279, None, 8192)),
    R("Bedrock", 400, {"message": "Operation not allowed"}, "misconfigured"),
    # Gemini API, "Troubleshooting"; its OpenAI-compatible routes wrap the error in a list
    R("Gemini", 400, _google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."), "overflow", (1200000, None, 1048576)),
    R("Gemini", 400, [_google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).")], "overflow", (1200000, None, 1048576)),
    R("Gemini", 400, _google(400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens allowed 1048576."), "overflow", (None, None, 1048576)),
    R("Gemini", 400, [_google(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature in functionCall parts.")], "invalid", words="thought_signature"),
    R("Gemini", 400, _google(400, "INVALID_ARGUMENT", "Please ensure that function call turn comes immediately after a user turn or after a function response turn."), "invalid", words="function call turn"),
    R("Gemini", 400, _google(400, "INVALID_ARGUMENT", "Unable to process input image. Please retry or report."), "invalid", words="input image"),
    R("Gemini", 400, _google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), "misconfigured"),
    R("Gemini", 400, _google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), "misconfigured"),
    R("Gemini", 403, _google(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers."), "misconfigured"),
    R("Gemini", 404, _google(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta, or is not supported for generateContent."), "misconfigured"),
    R("Gemini", 429, _google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.", _RETRY_37), "overloaded"),
    R("Gemini", 499, _google(499, "CANCELLED", "The operation was cancelled."), "failed"),
    R("Gemini", 500, _google(500, "INTERNAL", "An internal error has occurred."), "failed"),
    R("Gemini", 503, _google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), "overloaded"),
    R("Gemini", 504, _google(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."), "timed out"),
    R("Gemini", 400, _google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", _KEY_INVALID), "misconfigured"),
    R("Gemini", 400, [_google(400, "INVALID_ARGUMENT", "API Key not found. Please pass a valid API key.", _KEY_INVALID)], "misconfigured"),
    R("Gemini", 400, _google(400, "INVALID_ARGUMENT", "Your input context is too long. Reduce your input context or temporarily switch to another model."), "overflow"),
    R("Gemini", 400, _google(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."), "too large", words="20971520 bytes"),
    # Vertex AI, "API errors"
    R("Vertex", 400, _google(400, "INVALID_ARGUMENT", "The input token count (131073) exceeds the maximum number of tokens allowed (131072)."), "overflow", (131073, None, 131072)),
    R("Vertex", 400, _anthropic("invalid_request_error", "prompt is too long: 215000 tokens > 200000 maximum"), "overflow", (215000, None, 200000)),
    R("Vertex", 401, _google(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), "misconfigured"),
    R("Vertex", 403, _google(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource."), "misconfigured"),
    R("Vertex", 404, _google(404, "NOT_FOUND", "Publisher Model `projects/x/publishers/google/models/y` was not found or your project does not have access to it."), "misconfigured"),
    R("Vertex", 429, _google(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."), "overloaded"),
    R("Vertex", 429, _google(429, "RESOURCE_EXHAUSTED", "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: x."), "overloaded"),
    R("Vertex", 503, _google(503, "UNAVAILABLE", "The service is currently unavailable."), "overloaded"),
    R("Vertex", 400, _google(400, "INVALID_ARGUMENT", "Unable to submit request because the input token count is 1,200,000 but model only supports up to 1,048,576. Reduce the input token count and try again."), "overflow", (1200000, None, 1048576)),
    R("Vertex", 400, _google(400, "INVALID_ARGUMENT", "Request contains 35000 tokens, which exceeds the limit of 32768."), "overflow", (35000, None, 32768)),
    R("Vertex", 400, _google(400, "INVALID_ARGUMENT", "input exceeds the maximum number of tokens"), "overflow"),
    # Mistral
    R("Mistral", 400, _flat("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", "invalid_request_prompt", "3051"), "overflow", (40000, None, 32768)),
    R("Mistral", 400, _flat("Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant", "invalid_request_message_order", "3230"), "invalid", words="Expected last role"),
    R("Mistral", 400, _flat("Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", "invalid_request_message", "3280"), "invalid", words="length of 9"),
    R("Mistral", 400, _flat("Invalid model: foo", "invalid_model", "1500"), "misconfigured"),
    R("Mistral", 401, {"message": "Unauthorized", "request_id": "1"}, "misconfigured"),
    R("Mistral", 422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "chat_template_kwargs"], "msg": "Extra inputs are not permitted", "input": {}}]}, "type": "invalid_request_error", "param": None, "code": None}, "invalid", words="body.chat_template_kwargs: Extra inputs are not permitted"),
    R("Mistral", 429, {"message": "Requests rate limit exceeded"}, "overloaded"),
    R("Mistral", 429, _flat("Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"), "overloaded"),
    R("Mistral", 500, _flat("Service unavailable.", "internal_server_error", "3000"), "failed"),
    # Groq, "API error codes"
    R("Groq", 400, _openai("Please reduce the length of the messages or completion.", code="context_length_exceeded"), "overflow"),
    R("Groq", 400, _openai("property 'chat_template_kwargs' is unsupported"), "invalid", words="chat_template_kwargs"),
    R("Groq", 400, _openai("Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.", code="tool_use_failed"), "invalid", words="failed_generation"),
    R("Groq", 400, _openai("The model `x` has been decommissioned and is no longer supported.", code="model_decommissioned"), "misconfigured"),
    R("Groq", 401, _openai("Invalid API Key", code="invalid_api_key"), "misconfigured"),
    R("Groq", 413, _openai("Request too large for model `x` in organization `org_abc` service tier `on_demand` on tokens per minute (TPM): Limit 12000, Requested 14137, please reduce your message size and try again.", "tokens", "rate_limit_exceeded"), "too large", words="Limit 12000, Requested 14137"),
    R("Groq", 429, _openai("Rate limit reached for model `x` on tokens per minute (TPM): Limit 6000, Used 5900, Requested 800. Please try again in 7s.", "tokens", "rate_limit_exceeded"), "overloaded"),
    R("Groq", 498, _openai("Flex tier capacity exceeded for model", "internal_server_error", "capacity_exceeded"), "overloaded"),
    R("Groq", 503, _openai("x is currently over capacity. Please try again and back off exponentially.", "internal_server_error"), "overloaded"),
    R("Groq", 400, _openai("The model `x` requires terms acceptance. Please have the org admin accept the terms.", code="model_terms_required"), "misconfigured"),
    R("Groq", 400, _openai("Organization has been restricted. Please reach out to support if you believe this was in error.", code="organization_restricted"), "misconfigured"),
    # Fireworks
    R("Fireworks", 400, {"error": {"object": "error", "type": "invalid_request_error", "code": "invalid_request_error", "message": "The prompt is too long: 140000, model maximum context length: 131071"}}, "overflow", (140000, None, 131071)),
    R("Fireworks", 400, {"error": {"object": "error", "type": "invalid_request_error", "message": "Extra inputs are not permitted, field: 'chat_template_kwargs', value: {}"}}, "invalid", words="chat_template_kwargs"),
    R("Fireworks", 404, {"error": {"object": "error", "type": "error", "code": "NOT_FOUND", "message": "Model not found, inaccessible, and/or not deployed"}}, "misconfigured"),
    R("Fireworks", 412, {"error": "Account x is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices."}, "misconfigured"),
    R("Fireworks", 503, {"error": {"object": "error", "type": "error", "code": "SERVICE_UNAVAILABLE", "message": "The service is temporarily unavailable"}}, "overloaded"),
    # Together
    R("Together", 422, _openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 8000 `inputs` tokens and 4000 `max_new_tokens`"), "overflow", (8000, 4000, 8193)),
    R("Together", 401, _openai("Invalid API key provided.", code="invalid_api_key"), "misconfigured"),
    R("Together", 402, _openai("Credit limit exceeded, please navigate to billing.", "credit_limit"), "misconfigured"),
    R("Together", 404, _openai("Unable to access model x.", code="model_not_available"), "misconfigured"),
    R("Together", 429, _openai("You have reached the rate limit specific to this model x.", "model_rate_limit"), "overloaded"),
    R("Together", 503, _openai("The server is overloaded or not ready yet.", "service_unavailable"), "overloaded"),
    R("Together", 400, _openai("Unable to access non-serverless model x. Please create and start a new dedicated endpoint for the model.", code="model_not_available"), "misconfigured"),
    # DeepSeek, "Error Codes"
    R("DeepSeek", 400, _openai("This model's maximum context length is 102400 tokens. However, you requested 107837 tokens (99645 in the messages, 8192 in the completion)." + _REDUCE), "overflow", (99645, 8192, 102400)),
    R("DeepSeek", 400, _openai("Content Exists Risk"), "filtered", words="Content Exists Risk"),
    R("DeepSeek", 400, _openai("Model Not Exist"), "misconfigured"),
    R("DeepSeek", 401, _openai("Authentication Fails (no such user)", "authentication_error"), "misconfigured"),
    R("DeepSeek", 402, _openai("Insufficient Balance", "unknown_error"), "misconfigured"),
    R("DeepSeek", 422, _openai("Failed to deserialize the JSON body into the target type: messages[1]: missing field `content` at line 1 column 123"), "invalid", words="missing field `content`"),
    R("DeepSeek", 503, _openai("Service is too busy.", "service_unavailable_error"), "overloaded"),
    R("DeepSeek", 400, _openai("The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed x.", code="invalid_request_error"), "misconfigured"),
    # Moonshot, "Error reference"
    R("Moonshot", 400, _openai("Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)"), "overflow", (300000, None, 262144)),
    R("Moonshot", 400, _openai("Input token length too long"), "overflow"),
    R("Moonshot", 400, _openai("The request was rejected because it was considered high risk", "content_filter"), "filtered", words="high risk"),
    R("Moonshot", 401, _openai("Invalid Authentication", "invalid_authentication_error"), "misconfigured"),
    R("Moonshot", 404, _openai("Not found the model x or Permission denied", "resource_not_found_error"), "misconfigured"),
    R("Moonshot", 429, _openai("The engine is currently overloaded, please try again later", "engine_overloaded_error"), "overloaded"),
    R("Moonshot", 429, _openai("Your account x is suspended, please check your plan and billing details", "exceeded_current_quota_error"), "misconfigured"),
    R("Moonshot", 429, _openai("Your account reached max request per minute", "rate_limit_reached_error"), "overloaded"),
    R("Moonshot", 400, _openai("The length of tokens in the request is too long. Do not exceed the model's maximum token limit."), "overflow"),
    R("Moonshot", 400, _openai("total message size 2200000 exceeds limit 2097152"), "too large", words="2097152"),
    # Zhipu
    R("Zhipu", 400, {"error": {"code": "1261", "message": "Prompt 超长"}}, "overflow"),
    R("Zhipu", 400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}, "overflow"),
    R("Zhipu", 400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}, "filtered"),
    R("Zhipu", 400, {"error": {"code": "1211", "message": "模型不存在，请检查模型代码。"}}, "misconfigured"),
    R("Zhipu", 400, {"error": {"code": "1214", "message": "messages 参数非法。请检查文档。"}}, "invalid", words="messages"),
    R("Zhipu", 401, {"error": {"code": "1000", "message": "身份验证失败。"}}, "misconfigured"),
    R("Zhipu", 429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试。"}}, "misconfigured"),
    R("Zhipu", 429, {"error": {"code": "1302", "message": "您当前使用该 API 的并发数过高"}}, "overloaded"),
    R("Zhipu", 400, {"error": {"code": "1210", "message": "tokens in request more than max tokens allowed"}}, "overflow"),
    R("Zhipu", 400, {"error": {"code": "1261", "message": "Prompt too long"}}, "overflow"),
    R("Zhipu", 400, {"error": {"code": "1261", "message": "Input length is too long"}}, "overflow"),
    R("Zhipu", 200, {"error": {"code": "1305", "message": "该模型当前访问量过大，请您稍后再试"}}, "overloaded"),
    R("Zhipu", 429, {"error": {"code": "1308", "message": "Usage limit reached for 5 hour."}}, "overloaded"),
    R("Zhipu", 429, {"error": {"code": "1309", "message": "您的 GLM Coding Plan 套餐已到期"}}, "misconfigured"),
    R("Zhipu", 429, {"error": {"code": "1311", "message": "当前订阅套餐暂未开放 GLM-5 权限"}}, "misconfigured"),
    # MiniMax
    R("MiniMax", 400, _anthropic("bad_request_error", "invalid params, context window exceeds limit (2013)"), "overflow"),
    R("MiniMax", 400, _anthropic("bad_request_error", "input new_sensitive (1026)"), "filtered"),
    R("MiniMax", 401, _anthropic("authorized_error", "login fail: Please carry the API secret key (1004)"), "misconfigured"),
    R("MiniMax", 429, _anthropic("insufficient_balance_error", "insufficient balance (1008)"), "misconfigured"),
    R("MiniMax", 429, _anthropic("rate_limit_error", "usage limit exceeded, 5-hour usage limit reached (2056)"), "overloaded"),
    R("MiniMax", 400, {"choices": None, "base_resp": {"status_code": 2013, "status_msg": "invalid params, messages must not be empty"}}, "invalid", words="must not be empty"),
    # DashScope
    R("DashScope", 400, _openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]", code="invalid_parameter_error"), "overflow", (None, None, 129024)),
    R("DashScope", 400, _openai("Range of max_tokens should be [1, 8192]", code="invalid_parameter_error"), "invalid", words="[1, 8192]"),
    R("DashScope", 400, _openai("<400> InternalError.Algo.DataInspectionFailed: Input data may contain inappropriate content.", "data_inspection_failed", "data_inspection_failed"), "filtered"),
    R("DashScope", 400, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}, "misconfigured"),
    R("DashScope", 403, {"code": "AccessDenied.Unpurchased", "message": "Access to model denied."}, "misconfigured"),
    R("DashScope", 429, _openai("You exceeded your current requests list.", "limit_requests", "limit_requests"), "overloaded"),
    R("DashScope", 429, {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded, please try again later."}, "overloaded"),
    R("ModelScope", 400, {"errors": {"message": "input characters limit is 819200"}, "request_id": "1"}, "overflow"),
    # xAI
    R("xAI", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 150000 tokens."}, "overflow", (150000, None, 131072)),
    R("xAI", 400, {"code": "Client specified an invalid argument", "error": "Model grok-x does not support parameter presencePenalty."}, "invalid", words="presencePenalty"),
    R("xAI", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***. You can obtain an API key from the console."}, "misconfigured"),
    R("xAI", 403, {"code": "The caller does not have permission to execute the specified operation", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}, "filtered", words="usage guidelines"),
    R("xAI", 403, {"code": "The caller does not have permission to execute the specified operation", "error": "Your newly created team doesn't have any credits yet."}, "misconfigured"),
    R("xAI", 404, {"code": "Some requested entity was not found", "error": "The model grok-9 does not exist or your team does not have access to it."}, "misconfigured"),
    R("xAI", 429, {"code": "Some resource has been exhausted", "error": "Your team has either used all available credits or reached its monthly spending limit."}, "misconfigured"),
    R("xAI", 429, {"code": "Some resource has been exhausted", "error": "Too many requests for model grok-x."}, "overloaded"),
    R("xAI", 400, {"code": "Client specified an invalid argument", "error": "Model not found: grok-9"}, "misconfigured"),
    # OpenRouter, "Errors and Debugging"
    R("OpenRouter", 404, _openai("No endpoints found that support image input", None, 404), "invalid", words="support image input"),
    R("OpenRouter", 404, _openai("No endpoints found that support tool use. To learn more about provider routing, read the documentation.", None, 404), "invalid", words="tool use"),
    R("OpenRouter", 404, _openai("No endpoints found that can handle the requested parameters.", None, 404), "invalid", words="requested parameters"),
    R("OpenRouter", 404, _openai("No endpoints found for foo/bar.", None, 404), "misconfigured"),
    R("OpenRouter", 404, _openai("No endpoints found matching your data policy (Free model publication).", None, 404), "misconfigured"),
    R("OpenRouter", 404, _openai("No allowed providers are available for the selected model.", None, 404), "misconfigured"),
    R("OpenRouter", 400, _openai("foo/bar is not a valid model ID", None, 400), "misconfigured"),
    R("OpenRouter", 400, _openai("This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (135000 of text input, 5000 in the output). Please reduce the length of either one.", None, 400), "overflow", (135000, 5000, 131072)),
    R("OpenRouter", 400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": '{"error":{"message":"prompt is too long: 215000 tokens > 200000 maximum"}}', "provider_name": "Anthropic"}}}, "overflow", (215000, None, 200000)),
    R("OpenRouter", 400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": "tools.0.name: too long", "provider_name": "x"}}}, "invalid", words="tools.0.name"),
    R("OpenRouter", 402, _openai("This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 1000.", None, 402), "misconfigured"),
    R("OpenRouter", 403, {"error": {"code": 403, "message": 'Your chosen model requires moderation and your input was flagged for "violence".', "metadata": {"reasons": ["violence"]}}}, "filtered", words="violence"),
    R("OpenRouter", 403, {"error": {"code": 403, "message": "Your input did not pass the provider's checks.", "metadata": {"reasons": ["violence", 5], "flagged_input": "...", "provider_name": "x", "model_slug": "y"}}}, "filtered", words="checks.: violence"),
    R("OpenRouter", 403, {"error": {"code": 403, "message": "Forbidden", "metadata": {"error_type": "content_policy_violation"}}}, "filtered", words="Forbidden"),
    R("OpenRouter", 403, {"error": {"code": 403, "message": "Request blocked: prompt injection patterns detected", "metadata": {"error_type": "permission_denied", "patterns": ["ignore_instructions"]}}}, "filtered", words="prompt injection"),
    R("OpenRouter", 403, {"error": {"code": 403, "message": "Key lacks permission", "metadata": {"error_type": "permission_denied"}}}, "misconfigured"),
    R("OpenRouter", 200, {"error": {"code": 403, "message": "Provider returned error", "metadata": {"error_type": "refusal", "provider_name": "x"}}}, "filtered", words="returned error"),
    R("OpenRouter", 429, _openai("Rate limit exceeded: free-models-per-min.", None, 429), "overloaded"),
    R("OpenRouter", 502, {"error": {"code": 502, "message": "Provider returned error"}}, "unreachable"),
    R("OpenRouter", 503, _openai("There is no available model provider that meets your routing requirements", None, 503), "overloaded"),
    R("OpenRouter", 400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": '{"message": "Input length 131393 exceeds the maximum allowed input length of 131040 tokens."}', "provider_name": "Poolside"}}}, "overflow", (131393, None, 131040)),
    # NVIDIA NIM
    R("NVIDIA", 400, _flat("This model's maximum context length is 131072 tokens. However, you requested 140000 tokens (135904 in the messages, 4096 in the completion)." + _REDUCE), "overflow", (135904, 4096, 131072)),
    R("NVIDIA", 422, {"type": "urn:inference-service:problem-details:unprocessable-entity", "title": "Unprocessable Entity", "status": 422, "detail": "Validation: Unsupported parameter(s): `chat_template_kwargs`"}, "invalid", words="Unsupported parameter(s)"),
    R("NVIDIA", 401, {"status": 401, "title": "Unauthorized", "detail": "Authentication failed"}, "misconfigured"),
    R("NVIDIA", 402, {"status": 402, "title": "Payment Required", "detail": "Account 'x': Cloud credits expired"}, "misconfigured"),
    R("NVIDIA", 404, {"status": 404, "title": "Not Found", "detail": "Function 'x': Not found for account 'y'"}, "misconfigured"),
    R("NVIDIA", 429, {"status": 429, "title": "Too Many Requests"}, "overloaded"),
    R("NVIDIA", 504, b"<html><title>504 Gateway Time-out</title></html>", "timed out"),
    R("NVIDIA", 400, {"status": 400, "title": "Bad Request", "detail": "Function id 'x': DEGRADED function cannot be invoked"}, "failed"),
    # Cerebras
    R("Cerebras", 400, {"message": "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}, "overflow", (9000, None, 8192)),
    R("Cerebras", 400, {"message": "property 'messages.1.assistant.reasoning_content' is unsupported", "type": "invalid_request_error", "param": "", "code": "wrong_api_format"}, "invalid", words="reasoning_content"),
    R("Cerebras", 401, {"message": "Wrong API Key", "type": "invalid_request_error", "param": "api_key", "code": "wrong_api_key"}, "misconfigured"),
    R("Cerebras", 429, {"message": "Tokens per minute limit exceeded - too many tokens processed.", "type": "too_many_tokens_error", "param": "quota", "code": "token_quota_exceeded"}, "overloaded"),
    R("Cerebras", 429, {"message": "We're experiencing high traffic right now! Please try again soon.", "type": "too_many_requests_error", "param": "queue", "code": "queue_exceeded"}, "overloaded"),
    # vLLM
    R("vLLM", 400, _flat("This model's maximum context length is 32768 tokens. However, you requested 64768 tokens (768 in the messages, 64000 in the completion)." + _REDUCE), "overflow", (768, 64000, 32768)),
    R("vLLM", 400, {"error": _flat("'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum context length is 32768 tokens and your request has 768 input tokens (64000 > 32768 - 768).")}, "overflow", (768, 64000, 32768)),
    R("vLLM", 400, {"error": _flat("This model's maximum context length is 32768 tokens. However, you requested 64000 output tokens and your prompt contains at least 768 input tokens, for a total of at least 64768 tokens.")}, "overflow", (768, 64000, 32768)),
    R("vLLM", 400, _flat("The decoder prompt (length 40000) is longer than the maximum model length of 32768. Make sure that `max_model_len` is no smaller than the number of text tokens."), "overflow", (40000, None, 32768)),
    R("vLLM", 400, {"error": _flat("Input length (40000) exceeds model's maximum context length (32768).")}, "overflow", (40000, None, 32768)),
    R("vLLM", 400, {"error": _flat('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')}, "invalid", words="--enable-auto-tool-choice"),
    R("vLLM", 400, {"error": _flat("At most 0 image(s) may be provided in one prompt.")}, "invalid", words="0 image(s)"),
    R("vLLM", 400, {"error": _flat("You passed 40961 input tokens and requested 0 output tokens. However, the model's context length is only 32768 tokens, resulting in a maximum input length of 32768 tokens. Please reduce the length of the input prompt.")}, "overflow", (40961, None, 32768)),
    R("vLLM", 400, {"error": _flat("You passed 31745 input tokens and requested 1024 output tokens. However, the model's context length is only 32768 tokens, resulting in a maximum input length of 31744 tokens.")}, "overflow", (31745, 1024, 32768)),
    R("vLLM", 400, {"message": "The engine prompt length 1234 exceeds the max_model_len 1024. Please reduce prompt.", "type": "invalid_request_error", "param": "input", "code": 400}, "overflow", (1234, None, 1024)),
    R("vLLM", 400, {"error": _flat("max_tokens=9000 cannot be greater than max_model_len=max_total_tokens=8192. Please request fewer output tokens.")}, "invalid", words="max_tokens=9000"),
    R("vLLM", 401, {"error": "Unauthorized"}, "misconfigured"),
    R("vLLM", 404, _flat("The model `x` does not exist.", "NotFoundError", 404), "misconfigured"),
    R("vLLM", 500, {"error": _flat("EngineCore encountered an issue.", "InternalServerError", 500)}, "failed"),
    R("vLLM", 400, {"error": _flat("The decoder prompt (length 9000) plus the number of requested output tokens (at least 1) is longer than the maximum model length of 8192. Make sure that `max_model_len` is no smaller.")}, "overflow", (9000, None, 8192)),
    R("vLLM", 400, _flat("The prompt (total length 25938) is too long to fit into the model (context length 4096). Make sure that `max_model_len` is no smaller."), "overflow", (25938, None, 4096)),
    R("vLLM", 400, {"error": _flat("This model's maximum context length is 32768 tokens. However, you requested 4096 output tokens and your prompt contains 200000 characters (more than 130688 characters, which is the upper bound for 28672 input tokens).")}, "overflow", (None, 4096, 32768)),
    R("vLLM", 400, {"error": _flat("max_tokens must be at least 1, got -46771. (parameter=max_tokens, value=-46771)")}, "overflow"),
    R("vLLM", 400, _flat("Input prompt (35247 tokens) is too long and exceeds limit of 1000"), "overflow", (35247, None, 1000)),
    # SGLang
    R("SGLang", 400, _flat("The input (40000 tokens) is longer than the model's context length (32768 tokens)."), "overflow", (40000, None, 32768)),
    R("SGLang", 400, _flat("Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 41768 tokens: 40000 tokens from the input messages and 1768 tokens for the completion."), "overflow", (40000, 1768, 32768)),
    R("SGLang", 400, _flat("Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 35000 tokens: 31000 tokens from the input messages and 4000 tokens for the completion."), "overflow", (31000, 4000, 32768)),
    R("SGLang", 503, _flat("The request queue is full.", "ServiceUnavailable", 503), "overloaded"),
    # TensorRT-LLM
    R("TensorRT-LLM", 400, _flat("The sum of prompt length (72417.0), query length (0) should not exceed max_num_tokens (69632)"), "overflow", (72417, None, 69632)),
    # llama-cpp-python
    R("llama-cpp-python", 500, {"error": {"message": "Requested tokens (9000) exceed context window of 8192", "type": "internal_server_error", "param": None, "code": None}}, "overflow", (9000, None, 8192)),
    # Text Generation Inference
    R("TGI", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 512 `max_new_tokens`", "error_type": "validation"}, "overflow", (4000, 512, 4096)),
    R("TGI", 422, {"error": "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000", "error_type": "validation"}, "overflow", (5000, None, 4095)),
    R("TGI", 422, {"error": "Template error: Conversation roles must alternate user/assistant", "error_type": "template_error"}, "invalid", words="must alternate"),
    R("TGI", 424, {"error": "Request failed during generation: Server error", "error_type": "generation"}, "failed"),
    R("TGI", 429, {"error": "Model is overloaded", "error_type": "overloaded"}, "overloaded"),
    # llama.cpp
    R("llama.cpp", 400, {"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192, "message": "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it"}}, "overflow", (9000, None, 8192)),
    R("llama.cpp", 400, {"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192, "message": "the request is too long"}}, "overflow", (9000, None, 8192)),
    R("llama.cpp", 400, {"error": {"code": 400, "type": "invalid_request_error", "message": "the request exceeds the available context size, try increasing it"}}, "overflow"),
    R("llama.cpp", 400, {"error": {"code": 400, "type": "invalid_request_error", "message": "Failed to parse grammar"}}, "invalid", words="grammar"),
    R("llama.cpp", 401, {"error": {"code": 401, "type": "authentication_error", "message": "Invalid API Key"}}, "misconfigured"),
    R("llama.cpp", 500, {"error": {"code": 500, "type": "server_error", "message": "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"}}, "invalid", words="mmproj"),
    R("llama.cpp", 503, {"error": {"code": 503, "type": "unavailable_error", "message": "Loading model"}}, "overloaded"),
    # LM Studio
    R("LM Studio", 400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 9000>= n_ctx: 8192). Try to load the model with a larger context length, or provide a shorter input."}, "overflow", (9000, None, 8192)),
    R("LM Studio", 400, {"error": "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}, "overflow", (9000, None, 4096)),
    R("LM Studio", 400, {"error": "Reached context length of 4096 tokens with model (arch: qwen2) that does not currently support mid-generation context overflow."}, "overflow", (None, None, 4096)),
    R("LM Studio", 400, {"error": "Context size has been exceeded."}, "overflow"),
    R("LM Studio", 404, _openai('Failed to load model "x". Error: Model does not exist.', code="model_not_found"), "misconfigured"),
    R("LM Studio", 400, {"error": "The model has crashed without additional information. (Exit code: null)"}, "failed"),
    R("LM Studio", 400, {"error": "Model unloaded."}, "failed"),
    # Ollama
    R("Ollama", 400, _openai("the input length exceeds the context length", "api_error"), "overflow"),
    R("Ollama", 400, _openai("registry.ollama.ai/library/x does not support tools", "api_error"), "invalid", words="does not support tools"),
    R("Ollama", 400, {"error": "prompt too long; exceeded max context length by 4 tokens"}, "overflow"),
    R("Ollama", 401, {"error": "unauthorized"}, "misconfigured"),
    R("Ollama", 404, _openai("model 'x' not found, try pulling it first", "api_error"), "misconfigured"),
    R("Ollama", 500, _openai("model requires more system memory (8.0 GiB) than is available (4.0 GiB)", "api_error"), "failed"),
    R("Ollama", 503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, "overloaded"),
    # LiteLLM as an upstream
    R("LiteLLM", 400, _openai("litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", None, "400"), "overflow", (9000, None, 8192)),
    R("LiteLLM", 400, _openai("litellm.ContentPolicyViolationError: AzureException", None, "400"), "filtered"),
    R("LiteLLM", 400, _openai("litellm.UnsupportedParamsError: x does not support parameters: ['seed']", None, "400"), "invalid", words="['seed']"),
    R("LiteLLM", 400, _openai("Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", "budget_exceeded", "400"), "misconfigured"),
    R("LiteLLM", 400, _openai("{'error': '/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view available models for your key.'}", "None", "400"), "misconfigured"),
    R("LiteLLM", 401, _openai("Authentication Error, Invalid proxy server token passed.", "token_not_found_in_db", "401"), "misconfigured"),
    R("LiteLLM", 408, _openai("litellm.Timeout: APITimeoutError - Request timed out.", None, "408"), "timed out"),
    R("LiteLLM", 429, _openai("No deployments available for selected model, Try again in 5 seconds.", "None", "429"), "overloaded"),
    R("LiteLLM", 500, _openai("litellm.InternalServerError: OpenAIException - Connection error.", None, "500"), "failed"),
    R("LiteLLM", 400, _openai('litellm.BadRequestError: AnthropicException - {"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}', None, "400"), "misconfigured"),
    R("LiteLLM", 400, _openai("litellm.BadRequestError: OpenAIException - The supported API model names are x, but you passed y.", None, "400"), "misconfigured"),
    # other gateways and hosts
    R("Copilot", 400, {"error": {"message": "prompt token count of 130000 exceeds the limit of 128000", "code": "model_max_prompt_tokens_exceeded"}}, "overflow", (130000, None, 128000)),
    R("Copilot", 400, _openai("The requested model is not supported.", code="model_not_supported"), "misconfigured"),
    R("Copilot", 400, {"error": {"message": 'model "x" is not accessible via the /chat/completions endpoint', "code": "unsupported_api_for_model"}}, "misconfigured"),
    R("GitHub Models", 400, {"error": {"code": "unknown_model", "message": "Unknown model: x", "details": "Unknown model: x"}}, "misconfigured"),
    R("GitHub Models", 400, {"error": {"code": "unavailable_model", "message": "Unavailable model: x"}}, "misconfigured"),
    R("GitHub Models", 413, {"error": {"code": "tokens_limit_reached", "message": "Request body too large for gpt-4o model. Max size: 8000 tokens.", "details": "Request body too large for gpt-4o model. Max size: 8000 tokens."}}, "overflow", (None, None, 8000)),
    R("Volcengine", 400, {"error": {"code": "InvalidParameter", "message": "Total tokens of image and text exceed max message tokens", "param": "", "type": "BadRequest"}}, "overflow"),
    R("Volcengine", 400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "The request failed because the input text may contain sensitive information.", "param": "", "type": "BadRequest"}}, "filtered", words="sensitive information"),
    R("Volcengine", 400, {"error": {"code": "SensitiveContentDetected.SevereViolation", "message": "The request failed.", "type": "BadRequest"}}, "filtered"),
    R("Volcengine", 429, {"error": {"code": "SetLimitExceeded", "message": "Your account [1] has reached the set inference limit for the [x] model, and the model service has been paused.", "type": "TooManyRequests"}}, "misconfigured"),
    R("StepFun", 451, _openai("The content you provided or machine outputted is blocked.", "censorship_blocked"), "filtered", words="is blocked"),
    R("MiMo", 400, {"error": {"code": "400", "message": "Param Incorrect", "param": "text is not set"}}, "invalid", words="Param Incorrect: text is not set"),
    R("Baidu", 400, _openai("Prompt tokens too long", code="tokens_too_long"), "overflow"),
    R("Baidu", 400, {"error_code": 336003, "error_msg": "the max length of current question is 2000"}, "invalid", words="current question"),
    R("Apigee", 400, {"fault": {"faultstring": "Failed to read the body", "detail": {"errorcode": "steps.json.ReadFailed"}}}, "invalid", words="read the body"),
    R("new-api", 500, _openai("prompt is too long: 9000 tokens > 8000 maximum", "new_api_error"), "overflow", (9000, None, 8000)),
    R("new-api", 500, _openai("the prompt is too long for me", "new_api_error"), "failed"),
    R("new-api", 403, _openai("用户额度不足", "new_api_error", "insufficient_user_quota"), "misconfigured"),
    R("new-api", 429, _openai("当前分组上游负载已饱和，请稍后再试", "new_api_error"), "overloaded"),
    R("new-api", 503, _openai("当前分组 default 下对于模型 x 无可用渠道", "new_api_error", "model_not_found"), "misconfigured"),
    R("SiliconFlow", 400, {"code": 20015, "message": "length of prompt_tokens (40000) must be less than max_seq_len (32768).", "data": None}, "overflow", (40000, None, 32768)),
    R("SiliconFlow", 400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}, "misconfigured"),
    R("SiliconFlow", 403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}, "misconfigured"),
    R("SiliconFlow", 503, {"code": 50505, "message": "Model service overloaded. Please try again later.", "data": None}, "overloaded"),
    R("Cohere", 400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 130000. Try using a shorter prompt."}, "overflow", (130000, None, 128000)),
    R("Cohere", 400, {"message": "total tokens exceeds the model's maximum limit of 4096"}, "overflow", (None, None, 4096)),
    R("Baseten", 400, _openai("token count of 290000 exceeds the maximum allowed input length of 262112 tokens"), "overflow", (290000, None, 262112)),
    R("Baseten", 400, _openai("The input exceeds the maximum allowed input length of 262,144 tokens."), "overflow", (None, None, 262144)),
    R("Hugging Face", 400, _openai("The requested model 'x' is not supported by any provider you have enabled.", code="model_not_supported"), "misconfigured"),
    R("Hugging Face", 503, {"error": "Model too busy, unable to get response in less than 60 second(s)"}, "overloaded"),
    R("FastAPI", 422, {"detail": [{"loc": ["body", "messages", 0], "msg": "field required", "type": "value_error.missing"}]}, "invalid", words="body.messages.0: field required"),
    R("ASP.NET", 400, {"type": "https://tools.ietf.org/html/rfc9110", "title": "One or more validation errors occurred.", "status": 400, "errors": {"$": ["missing required properties including: 'status'."]}}, "invalid", words="missing required properties"),
    R("FastAPI", 422, {"error": "body -> presence_penalty\n  Extra inputs are not permitted (type=extra_forbidden)"}, "invalid", words="presence_penalty"),
    R("a proxy", 502, _openai("Unsupported parameter: 'x'", code="unsupported_parameter"), "invalid", words="'x'"),
    R("FastAPI", 404, {"detail": "Not Found"}, "misconfigured"),
    R("Cloudflare", 413, {"success": False, "errors": [{"code": 5021, "message": "AiError: The estimated number of input and maximum output tokens (9000) exceeded this model context window limit (8192)."}], "result": {}}, "overflow", (9000, None, 8192)),
    R("Cloudflare", 522, b"<html>Connection timed out</html>", "unreachable"),
    R("Cloudflare", 524, b"<html>A timeout occurred</html>", "timed out"),
    R("Envoy", 503, b"no healthy upstream", "overloaded"),
    R("nginx", 413, b"<html><h1>413 Request Entity Too Large</h1></html>", "too large"),
    R("nginx", 502, b"<html><h1>502 Bad Gateway</h1></html>", "unreachable"),
]  # fmt: skip

#: errors of a 429, and the seconds to wait that they name
WAITS: list[tuple[Any, float | None]] = [
    (_wait("Rate limit reached for model `x` on tokens per day (TPD): Limit 100000, Used 99336. Please try again in 2m59.56s. Need more tokens?"), 179.56),
    (_wait("Rate limit reached for gpt-4o: Limit 30000, Used 29000, Requested 2000. Please try again in 2s."), 2.0),
    (_wait("Please try again in 120ms. Visit your account."), 0.12),
    (_wait("You have exceeded the token rate limit. Please retry after 7 seconds."), 7.0),
    (_wait("No deployments available for selected model, Try again in 5 seconds."), 5.0),
    (_wait("You exceeded your current quota. Please retry in 37.23s."), 37.23),
    (_wait("Missing plan. (reset after 30s)"), 30.0),
    (_wait("Try again in 2 minutes"), 120.0),
    (_wait("Try again in 99h"), 3600.0),
    (_wait("Slow down", resets_in_seconds=300), 300.0),
    ({"message": "Too many requests", "retry_after": 12}, 12.0),
    ({"message": "Too many requests", "retry_after": 10**400}, 3600.0),
    ({"message": "Too many requests", "retry_after": "soon"}, None),
    (_wait("Try again in a while"), None),
    (_wait("Try again in 5 parsecs"), None),
    (_wait("Try again after 2026-05-11 21:00:00"), None),
]  # fmt: skip
