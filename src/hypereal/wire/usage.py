"""What an answer says it consumed, of every vendor, as one `kit.usage.Usage`.

`PROFILES` is the one place where vendors differ; each wire format's fields are read by one struct below.
"""

from collections.abc import Collection, Mapping

import msgspec

from hypereal.kit.usage import Usage

TOKENS_MAX = 10**9
"""A count above this, or below 0, is not believed: the whole block is taken as missing. So is one of zeros."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How one vendor differs from its wire format's own rules. What follows `output_limit` concerns bridges only."""

    takes_stream_options: bool = True
    """False: refuses `stream_options` and sends usage in its last chunk unasked."""
    reasoning_beside_output: bool = False
    """`completion_tokens` leaves reasoning out, unless `total_tokens` shows that it is in (xAI)."""
    output_limit: str = "max_tokens"
    """How a bridge names the limit of output in chat: OpenAI's reasoning models refuse the older name."""
    takes_reasoning: bool = False
    """Earlier reasoning is sent back to it, as `reasoning_content`; others refuse a member that they do not know."""
    needs_reasoning: bool = False
    """It refuses an assistant's turn without `reasoning_content`; a blank will do."""
    takes_signatures: bool = False
    """Thought signatures are sent back to it in `extra_content`, where Google's own chat endpoint has them."""
    takes_json_schema: bool = True
    """False: of structured output it knows only `json_object`, so the schema is told in words."""
    efforts: tuple[str, ...] = ("low", "medium", "high")
    """The values of `reasoning_effort` that it takes, in their order; none where it does not know the member."""
    left_out: frozenset[str] = frozenset()
    """Chat members that it refuses, or that would only say something to OpenAI."""


_PLAIN = Profile()
_OPENAIS = frozenset({"prompt_cache_key", "safety_identifier", "service_tier", "verbosity"})
_SAMPLING = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "stop"})
_ALL_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

PROFILES: Mapping[str, Profile] = {
    # Its reasoning models, all that the catalog has, refuse every setting of sampling.
    "openai": Profile(output_limit="max_completion_tokens", efforts=_ALL_EFFORTS, left_out=_SAMPLING),
    "anthropic": _PLAIN,
    "google": Profile(takes_signatures=True, left_out=_OPENAIS),
    "local": Profile(takes_signatures=True),
    "openai_compatible": Profile(takes_signatures=True, left_out=_OPENAIS),
    "deepseek": Profile(
        takes_reasoning=True,
        needs_reasoning=True,
        takes_json_schema=False,
        efforts=("low", "medium", "high", "xhigh", "max"),
        left_out=_OPENAIS,
    ),
    "dashscope": Profile(takes_reasoning=True, efforts=(), left_out=_OPENAIS | {"frequency_penalty"}),
    "zai": Profile(
        takes_reasoning=True,
        takes_json_schema=False,
        efforts=("low", "high", "max"),
        left_out=_OPENAIS | {"presence_penalty", "frequency_penalty"},
    ),
    "moonshot": Profile(takes_reasoning=True, needs_reasoning=True, efforts=(), left_out=_OPENAIS),
    "minimax": Profile(efforts=(), left_out=_OPENAIS),
    "openrouter": Profile(takes_reasoning=True, takes_signatures=True, efforts=_ALL_EFFORTS),
    "xai": Profile(reasoning_beside_output=True, efforts=(), left_out=_OPENAIS),
    "mistral": Profile(takes_stream_options=False, efforts=(), left_out=_OPENAIS | {"user", "seed"}),
}
"""By a provider's `usage` name. Where vendors only *name* a count in another way, `ChatUsage` knows all the names."""


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    """DashScope's name of cache_write_tokens."""


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _ServerTools(msgspec.Struct, gc=False):
    web_search_calls: int | None = None


class ChatUsage(msgspec.Struct, gc=False):
    """`usage` of OpenAI chat and of all who speak it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    cached_tokens: int | None = None
    """Moonshot's place."""
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name."""
    server_side_tool_usage_details: _ServerTools | None = None
    """xAI."""


class ResponsesUsage(msgspec.Struct, gc=False):
    """`usage` of OpenAI Responses."""

    input_tokens: int
    output_tokens: int
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Thinking(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class _ServerToolUse(msgspec.Struct, gc=False):
    web_search_requests: int | None = None


class MessagesUsage(msgspec.Struct, gc=False):
    """`usage` of Anthropic Messages, whole or a part: all optional, since a stream spreads it over two events."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: _Thinking | None = None
    server_tool_use: _ServerToolUse | None = None


class GeminiUsage(msgspec.Struct, gc=False, rename="camel"):
    """`usageMetadata`."""

    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None


_NO_INPUT_DETAILS = _InputDetails()


def chat_usage(said: ChatUsage | None, profile: Profile) -> Usage | None:
    """A chat answer's `usage`; None where it is missing or not sane, as of the other three."""
    if said is None:
        return None
    inputs = said.prompt_tokens_details or _NO_INPUT_DETAILS
    outputs, tools = said.completion_tokens_details, said.server_side_tool_usage_details
    reasoning = 0 if outputs is None else outputs.reasoning_tokens or 0
    output = said.completion_tokens
    if profile.reasoning_beside_output and said.total_tokens != said.prompt_tokens + output:
        output += reasoning
    return _checked(
        total=said.prompt_tokens,
        read=inputs.cached_tokens or said.cached_tokens or said.prompt_cache_hit_tokens or 0,
        write=inputs.cache_write_tokens or inputs.cache_creation_input_tokens or 0,
        output=output,
        reasoning=reasoning,
        searches=0 if tools is None else tools.web_search_calls or 0,
    )


def responses_usage(said: ResponsesUsage | None, web_searches: int, profile: Profile) -> Usage | None:
    """A Responses object's `usage`; WEB_SEARCHES are counted from its output by the caller."""
    if said is None:
        return None
    inputs = said.input_tokens_details or _InputDetails()
    reasoning = (said.output_tokens_details or _OutputDetails()).reasoning_tokens or 0
    output = said.output_tokens
    if profile.reasoning_beside_output and said.total_tokens == said.input_tokens + output + reasoning:
        output += reasoning
    return _checked(
        total=said.input_tokens,
        read=inputs.cached_tokens or 0,
        write=inputs.cache_write_tokens or 0,
        output=output,
        reasoning=reasoning,
        searches=web_searches,
    )


def messages_usage(parts: list[MessagesUsage], *, is_final: bool = True) -> Usage | None:
    """Anthropic's `usage` from the parts that a stream gave, in their order (a plain answer has one).

    Counts are cumulative, so of each field the last word counts; but a part that names no input at all (zeros
    included, as relays write them) does not unsay the input of an earlier one.
    """
    said: dict[str, int] = {}
    for part in parts:
        fields = _messages_fields(part)
        if not any(fields.get(name) for name in _MESSAGES_INPUT):
            for name in _MESSAGES_INPUT & said.keys():
                fields.pop(name, None)
        said.update(fields)
    if "input" not in said or "output" not in said or not _are_sane(said.values()):
        return None
    long_write = min(said.get("write_1h", 0), said.get("write", 0))
    return Usage(
        input_tokens=said["input"],
        cache_read_tokens=said.get("read", 0),
        cache_write_tokens=said.get("write", 0) - long_write,
        cache_write_1h_tokens=long_write,
        output_tokens=said["output"],
        reasoning_tokens=min(said.get("reasoning", 0), said["output"]),
        web_searches=said.get("searches", 0),
        is_estimated=not is_final,
    )


def gemini_usage(said: GeminiUsage | None, *, is_final: bool = True) -> Usage | None:
    """Gemini's `usageMetadata`: thoughts stand beside the candidates' tokens, cached ones inside the prompt's.

    Each chunk of a stream has one with the counts so far.
    """
    if said is None or said.prompt_token_count is None:
        return None
    thoughts = said.thoughts_token_count or 0
    inputs = said.prompt_token_count + (said.tool_use_prompt_token_count or 0)
    visible = said.candidates_token_count
    if visible is None:
        if said.total_token_count is None:
            return None
        visible = said.total_token_count - inputs - thoughts
    read = said.cached_content_token_count or 0
    usage = _checked(total=inputs, read=read, write=0, output=visible + thoughts, reasoning=thoughts)
    return usage if is_final or usage is None else msgspec.structs.replace(usage, is_estimated=True)


_MESSAGES_INPUT = {"input", "read", "write", "write_1h"}


def _messages_fields(part: MessagesUsage) -> dict[str, int]:
    """The counts that PART names."""
    creation = part.cache_creation or _CacheCreation()
    write = part.cache_creation_input_tokens
    if part.cache_creation is not None:
        write = max(write or 0, (creation.ephemeral_5m_input_tokens or 0) + (creation.ephemeral_1h_input_tokens or 0))
    thinking = part.output_tokens_details or _Thinking()
    tools = part.server_tool_use or _ServerToolUse()
    named = {
        "input": part.input_tokens,
        "read": part.cache_read_input_tokens,
        "write": write,
        "write_1h": creation.ephemeral_1h_input_tokens,
        "output": part.output_tokens,
        "reasoning": thinking.thinking_tokens,
        "searches": tools.web_search_requests,
    }
    return {name: value for name, value in named.items() if value is not None}


def _checked(*, total: int, read: int, write: int, output: int, reasoning: int, searches: int = 0) -> Usage | None:
    """TOTAL holds the cache's share, save where that is the larger: then it stands beside it (seen at xAI)."""
    bits = total | read | write | output | reasoning | searches  # below 0 where one count is, 0 where all are
    if bits <= 0 or (bits > TOKENS_MAX and max(total, read, write, output, reasoning, searches) > TOKENS_MAX):
        return None
    fresh = total - read - write
    return Usage(
        input_tokens=fresh if fresh >= 0 else total,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=output,
        reasoning_tokens=reasoning if reasoning < output else output,
        web_searches=searches,
    )


def _are_sane(counts: Collection[int]) -> bool:
    return min(counts) >= 0 and 0 < max(counts) <= TOKENS_MAX
