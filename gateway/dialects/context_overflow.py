"""Token counts in a provider's words about an input that is too long. Pure.

Providers agree on no form: the counts stand in sentences, in one order or the other, with the
request's cap of output added or apart. Both families of clients want them: Claude Code lowers its
cap by `input length and max_tokens exceed context limit: A + B > C`, and compacts by
`prompt is too long: A tokens > B maximum`.

Sources: each provider's documents and sources, a line of `tests/dialects/refusals.py` for each.
"""

import re

#: characters of a message that are searched; every pattern is linear in them
_CHARACTERS_MAX = 4000

_GIVEN, _CAP, _LIMIT = r"(?P<given>\d{1,9})", r"(?P<cap>\d{1,9})", r"(?P<limit>\d{1,9})"
#: commas and blanks that part thousands
_GROUPS = re.compile(r"(?<=\d)[,_\u00a0\u202f](?=\d{3}(?!\d))")
#: words between two counts
_WORDS = r"[^0-9]{1,90}"

#: input, cap of output and context window; then input and window; then the window alone
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"context limit: {_GIVEN} \+ {_CAP} > {_LIMIT}",
        rf"context length (?:is|of) {_LIMIT} tokens{_WORDS}\d+ tokens \({_GIVEN} (?:in the messages"
        rf"|in your prompt|of text input)(?:, \d+ of tool input)?[,;] {_CAP} (?:in|for) the",
        rf"context length of {_LIMIT} tokens{_WORDS}\d+ tokens: {_GIVEN} tokens from the input"
        rf"{_WORDS}{_CAP}",
        rf"context length is {_LIMIT} tokens{_WORDS}{_CAP} output tokens and your prompt contains"
        rf"(?: at least)? (?:\d+ characters|{_GIVEN} input)",
        rf"too large: {_CAP}\.{_WORDS}context length is {_LIMIT} tokens and your request has"
        rf" {_GIVEN}",
        rf"must be <= {_LIMIT}\. Given: {_GIVEN} `inputs` tokens and {_CAP}",
        rf"too long: {_GIVEN}(?: tokens)? > {_LIMIT}",
        rf"too long: {_GIVEN}, model maximum context length: {_LIMIT}",
        rf"context length is {_LIMIT} tokens{_WORDS}{_GIVEN}",
        rf"passed {_GIVEN} input tokens(?: and requested {_CAP} output tokens)?{_WORDS}context"
        rf" length is only {_LIMIT}",
        rf"request \({_GIVEN} tokens\) exceeds the available context size \({_LIMIT}",
        rf"n_keep: {_GIVEN} ?>= ?n_ctx: {_LIMIT}",
        rf"token count \(?{_GIVEN}\)? exceeds the maximum number of tokens allowed \(?{_LIMIT}",
        rf"prompt length is {_LIMIT} but the request contains {_GIVEN}",
        rf"token count of {_GIVEN} exceeds the limit of {_LIMIT}",
        rf"token count is {_GIVEN} but (?:the )?model only supports up to {_LIMIT}",
        rf"prompt length {_GIVEN} exceeds the max_model_len {_LIMIT}",
        rf"tokens \({_GIVEN}\) exceed(?:ed|s)? (?:this model |the )?context window (?:limit|of)"
        rf" \(?{_LIMIT}",
        rf"prompt length \({_GIVEN}(?:\.0)?\), query length \(\d+\) should not exceed"
        rf" max_num_tokens \({_LIMIT}",
        rf"token limit: {_LIMIT} \(requested: {_GIVEN}",
        rf"contains {_GIVEN} tokens(?: and \d+ draft tokens)?, too large for model with {_LIMIT}",
        rf"\(length {_GIVEN}\)(?: plus the number of requested output tokens \(at least 1\))? (?:is"
        rf" longer than|exceeds) the maximum model length of {_LIMIT}",
        rf"\(total length {_GIVEN}\) is too long to fit into the model \(context length {_LIMIT}",
        rf"prompt \({_GIVEN} tokens\) is too long and exceeds limit of {_LIMIT}",
        rf"max input tokens: {_LIMIT}, request input token count: {_GIVEN}",
        rf"contains {_GIVEN} tokens, which exceeds the limit of {_LIMIT}",
        rf"input (?:length )?\({_GIVEN}(?: tokens)?\) (?:exceeds|is longer){_WORDS}\({_LIMIT}",
        rf"{_GIVEN} exceeds the maximum (?:allowed )?(?:input |context )?length(?: of)? {_LIMIT}",
        rf"has {_GIVEN}(?: input)? tokens{_WORDS}context (?:window|length|size) (?:is|of) {_LIMIT}",
        rf"context (?:length|window|limit) exceeded: {_GIVEN}(?: tokens)? > {_LIMIT}",
        rf"tokens {_GIVEN} exceeds? (?:the )?max(?:imum)? context length(?: of)? {_LIMIT}",
        rf"limit of {_LIMIT} tokens\. Your messages resulted in {_GIVEN}",
        rf"less than {_LIMIT} tokens\. Given: {_GIVEN}",
        rf"first {_GIVEN} tokens{_WORDS}context length of only {_LIMIT}",
        rf"Current length is {_GIVEN} while limit is {_LIMIT}",
        rf"prompt_tokens \({_GIVEN}\) must be less than max_seq_len \({_LIMIT}",
        rf"cannot exceed {_LIMIT} - received {_GIVEN}",
        rf"exceeded model token limit: {_LIMIT}",
        rf"tokens allowed \(?{_LIMIT}",
        rf"input length should be \[1, {_LIMIT}\]",
        rf"reached context length of {_LIMIT}",
        rf"exceeds the maximum allowed input length of {_LIMIT}",
        rf"exceeds the model's maximum limit of {_LIMIT}",
        rf"maximum context length (?:is|of) {_LIMIT}",
        rf"should not exceed max_num_tokens \({_LIMIT}",
        rf"too large for \S+ model\. Max size: {_LIMIT} tokens",
    )
)
#: sentences and codes without a count
_WORDS_ALONE = re.compile(
    r"exceeded model token limit|maximum context length|input token length too long"
    r"|context_length_exceeded|prompt (?:tokens |is )?too (?:long|large)|tokens_too_long"
    r"|input (?:is too long for|length is too long|context is too long)|longer than the model's"
    r" context|exceed_context_size|exceeds the (?:available )?context|context window exceeds"
    r"|model_max_prompt_tokens_exceeded|ContextWindowExceeded|context_window_exceeded"
    r"|context (?:length|window) exceeded|reduce the length of the messages"
    r"|input token count exceeds|prompt 超长|prompt exceeds max length|exceeded max context length"
    r"|context size has been exceeded|number of input tokens exceeds|exceed max message tokens"
    r"|tokens_limit_reached|tokens in request more than max tokens|input exceeds the maximum number"
    r" of tokens|length of tokens in the request is too long|input characters? limit|max_tokens"
    r" must be at least 1, got -|输入长度超|上下文长度超|超过最大长度|超出上下文",
    re.IGNORECASE,
)


def read_overflow(message: str) -> dict[str, int] | None:
    """`input_tokens`, `output_tokens` (a cap) and `context_window`, as far as `message` has them.

    None where it is about something else.
    """
    message = _GROUPS.sub("", message[:_CHARACTERS_MAX])
    for form in _FORMS:
        if found := form.search(message):
            counts = found.groupdict()
            names = {"given": "input_tokens", "cap": "output_tokens", "limit": "context_window"}
            return {names[name]: int(count) for name, count in counts.items() if count}
    return {} if _WORDS_ALONE.search(message) else None
