"""The blocks in which vendors say what an answer consumed, one struct a wire format, as `usage.py` reads them."""

import msgspec


class InputDetails(msgspec.Struct, gc=False):
    """Of chat and Responses: what of the input a cache had or took."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    """DashScope's name of cache_write_tokens."""


class OutputDetails(msgspec.Struct, gc=False):
    """Of chat and Responses: what of the output was thought."""

    reasoning_tokens: int | None = None


class ServerTools(msgspec.Struct, gc=False):
    """xAI's count of its own tools' calls."""

    web_search_calls: int | None = None


class ChatUsage(msgspec.Struct, gc=False):
    """`usage` of OpenAI chat and of all who speak it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    cached_tokens: int | None = None
    """Moonshot's place."""
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name."""
    server_side_tool_usage_details: ServerTools | None = None
    """xAI."""


class ResponsesUsage(msgspec.Struct, gc=False):
    """`usage` of OpenAI Responses."""

    input_tokens: int
    output_tokens: int
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class CacheCreation(msgspec.Struct, gc=False):
    """Anthropic's writes to its cache, by how long they live."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class Thinking(msgspec.Struct, gc=False):
    """What of the output Claude thought."""

    thinking_tokens: int | None = None


class ServerToolUse(msgspec.Struct, gc=False):
    """Anthropic's count of its own tools' calls."""

    web_search_requests: int | None = None


class MessagesUsage(msgspec.Struct, gc=False):
    """`usage` of Anthropic Messages, whole or a part: all optional, since a stream spreads it over two events."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: Thinking | None = None
    server_tool_use: ServerToolUse | None = None


class GeminiUsage(msgspec.Struct, gc=False, rename="camel"):
    """`usageMetadata`."""

    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None
