"""How vendors differ from the wire formats that they speak: the one place where it is said."""

from collections.abc import Mapping

import msgspec


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
