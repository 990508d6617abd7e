"""What an answer says it consumed, of every vendor, as one `kit.usage.Usage`.

`usage_blocks.py` has what each wire format says, `profiles.py` where vendors differ from it.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from hypereal.kit.usage import Usage
from hypereal.wire.profiles import Profile
from hypereal.wire.usage_blocks import (
    CacheCreation,
    ChatUsage,
    GeminiUsage,
    InputDetails,
    MessagesUsage,
    OutputDetails,
    ResponsesUsage,
    ServerToolUse,
    Thinking,
)

TOKENS_MAX: Final = 10**9
"""A count above this, or below 0, is not believed: the whole block is taken as missing. So is one of zeros."""


_NO_INPUT_DETAILS: Final = InputDetails()


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
    inputs = said.input_tokens_details or InputDetails()
    reasoning = (said.output_tokens_details or OutputDetails()).reasoning_tokens or 0
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


_MESSAGES_INPUT: Final = {"input", "read", "write", "write_1h"}


def _messages_fields(part: MessagesUsage) -> dict[str, int]:
    """The counts that PART names."""
    creation = part.cache_creation or CacheCreation()
    write = part.cache_creation_input_tokens
    if part.cache_creation is not None:
        write = max(write or 0, (creation.ephemeral_5m_input_tokens or 0) + (creation.ephemeral_1h_input_tokens or 0))
    thinking = part.output_tokens_details or Thinking()
    tools = part.server_tool_use or ServerToolUse()
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
