"""Fields that change a price or break metering: each is priced, free, or refused with a 400, never forwarded unpriced.

The tables below are the decision per field; a field in none of them has no effect on what a call costs.
"""

from collections.abc import Mapping

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest

WEB_SEARCHES_HELD = 10
"""Searches that a hold covers where the caller sets no maximum. What was searched is settled whatever the hold was."""
WEB_SEARCHES_MAX = 1000
TOOLS_MAX = 4096


class Surcharge(msgspec.Struct, frozen=True, kw_only=True):
    """What one request adds to its model's price: see `price.surcharged` and `price.worst_case`."""

    rate_percent: int = 100
    """All token rates times this, in percent."""
    web_searches_max: int = 0
    """How many searches the hold must cover."""


NONE = Surcharge()


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """What the values of one field cost. Absent, null, false and empty ones are free; any other is refused.

    Of a list, each member counts.
    """

    free: frozenset[str] = frozenset()
    percent: Mapping[str, int] = {}
    """Value -> percent of the token rates."""
    why: str = "it has a price that this gateway does not bill"


class ToolTypes(msgspec.Struct, frozen=True, kw_only=True):
    """Which `type` of a tool runs at the caller (free) or is a web search (priced). Any other is refused."""

    free: frozenset[str]
    free_prefixes: tuple[str, ...] = ()
    web_search_prefix: str | None = None


_SERVICE_TIER = Values(
    free=frozenset({"auto", "default", "standard", "flex"}),  # flex: slower, at the ordinary rates
    percent={"priority": 200},  # the vendors' lists: twice the ordinary rates
)
_NO_AUDIO = Values(free=frozenset({"text"}), why="output other than text has a price of its own")
_ELSEWHERE = Values(why="it could send the call to a model of another price")
_KEPT_AT_VENDOR = Values(why="it names an object in the vendor's account, which all callers share")

FIELDS: Mapping[Dialect, Mapping[str, Values]] = {
    Dialect.OPENAI_CHAT: {
        "service_tier": _SERVICE_TIER,
        "modalities": _NO_AUDIO,
        "audio": _NO_AUDIO,
        "web_search_options": Values(why="its searches are not counted here; use the web_search tool on /v1/responses"),
        "search_parameters": Values(why="its searches are not counted here"),  # xAI
        "enable_search": Values(why="its searches are not counted here"),  # DashScope
        "plugins": Values(why="plugins have prices of their own"),  # OpenRouter, as the next two
        "models": _ELSEWHERE,
        "preset": _ELSEWHERE,
    },
    Dialect.OPENAI_RESPONSES: {
        "service_tier": _SERVICE_TIER,
        "background": Values(why="a background response is answered after its call, so it cannot be billed"),
        "prompt": _KEPT_AT_VENDOR,
        "conversation": _KEPT_AT_VENDOR,
        "search_parameters": Values(why="its searches are not counted here"),
        "plugins": Values(why="plugins have prices of their own"),
        "models": _ELSEWHERE,
        "preset": _ELSEWHERE,
    },
    Dialect.ANTHROPIC_MESSAGES: {
        "service_tier": Values(free=frozenset({"auto", "standard_only"})),
        "speed": Values(free=frozenset({"standard"})),
        "inference_geo": Values(free=frozenset({"global"}), percent={"us": 110}),
        "container": _KEPT_AT_VENDOR,
        "mcp_servers": Values(why="servers that the vendor calls are not served"),
    },
    Dialect.GEMINI: {
        "serviceTier": _SERVICE_TIER,
        "service_tier": _SERVICE_TIER,
        "cachedContent": _KEPT_AT_VENDOR,
        "cached_content": _KEPT_AT_VENDOR,
    },
}

TOOLS: Mapping[Dialect, ToolTypes] = {
    Dialect.OPENAI_CHAT: ToolTypes(free=frozenset({"function", "custom"})),
    Dialect.OPENAI_RESPONSES: ToolTypes(
        free=frozenset({"function", "custom", "namespace", "tool_search", "local_shell", "apply_patch"}),
        web_search_prefix="web_search",
    ),
    Dialect.ANTHROPIC_MESSAGES: ToolTypes(
        free=frozenset({"custom"}),
        free_prefixes=("bash_", "text_editor_", "computer_", "memory_", "tool_search_tool_"),
        web_search_prefix="web_search_",
    ),
}

GEMINI_TOOLS_FREE = frozenset(
    {
        "functionDeclarations",
        "function_declarations",
        "computerUse",
        "computer_use",
        "codeExecution",  # billed as the tokens it makes, which the usage holds
        "code_execution",
    }
)


class _Tool(msgspec.Struct, frozen=True, gc=False):
    type: str | None = None
    max_uses: int | None = None
    tools: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _GenerationConfig(msgspec.Struct, frozen=True, gc=False):
    camel: list[str] | None = msgspec.field(default=None, name="responseModalities")
    snake: list[str] | None = msgspec.field(default=None, name="response_modalities")


_tools = msgspec.json.Decoder(list[_Tool] | None)
_gemini_tools = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None)
_generation_config = msgspec.json.Decoder(_GenerationConfig | None)
_value = msgspec.json.Decoder()

_WATCHED: Mapping[Dialect, frozenset[str]] = {
    dialect: frozenset(fields) | {"tools"} for dialect, fields in FIELDS.items() if dialect is not Dialect.GEMINI
} | {Dialect.GEMINI: frozenset(FIELDS[Dialect.GEMINI]) | {"tools", "generationConfig", "generation_config"}}


def surcharges(dialect: Dialect, fields: Mapping[str, msgspec.Raw]) -> Surcharge:
    """What FIELDS, the top level of a request, add to the model's price; `NONE` for an ordinary request.

    Raises InvalidRequest for a field or tool that would cost what is not billed.
    """
    watched = _WATCHED[dialect]
    if watched.isdisjoint(fields):
        return NONE
    percent, searches = 100, 0
    for name in sorted(watched & fields.keys()):
        values = FIELDS[dialect].get(name)
        try:
            if values is not None:
                percent = percent * _percent(name, values, _value.decode(fields[name])) // 100
            elif name != "tools":
                _check_modalities(fields[name])
            elif dialect is Dialect.GEMINI:
                _check_gemini_tools(fields[name])
            else:
                searches = _searches(dialect, fields[name])
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequest(f"{name}: not of the expected shape: {error}", param=name) from None
    if searches and "max_tool_calls" in fields:
        searches = min(searches, _positive(fields["max_tool_calls"], searches))
    return NONE if percent == 100 and not searches else Surcharge(rate_percent=percent, web_searches_max=searches)


def _percent(name: str, values: Values, given: object) -> int:
    percent = 100
    for value in given if isinstance(given, list) else [given]:
        if not value or (isinstance(value, str) and value.lower() in values.free):
            continue
        if not isinstance(value, str) or value.lower() not in values.percent:
            shown = f"{name} = '{value[:40]}'" if isinstance(value, str) else name
            raise _refused(name, shown, values.why)
        percent = max(percent, values.percent[value.lower()])
    return percent


def _searches(dialect: Dialect, raw: msgspec.Raw) -> int:
    """How many web searches the tools in RAW may make."""
    types = TOOLS[dialect]
    searches = 0
    for tool in _tools_in(raw):
        if tool.type is None or tool.type in types.free:
            continue
        if types.web_search_prefix is not None and tool.type.startswith(types.web_search_prefix):
            searches += WEB_SEARCHES_HELD if tool.max_uses is None else max(0, min(tool.max_uses, WEB_SEARCHES_MAX))
        elif not tool.type.startswith(types.free_prefixes):
            raise _refused("tools", f"a tool of type '{tool.type[:40]}'", "only tools that the caller runs are served")
    return searches


def _tools_in(raw: msgspec.Raw) -> list[_Tool]:
    """The tools of RAW and, one level down, those of its namespaces."""
    tools = _tools.decode(raw) or []
    nested: list[_Tool] = []
    for tool in tools[:TOOLS_MAX]:
        if tool.type == "namespace" and isinstance(tool.tools, msgspec.Raw) and len(nested) <= TOOLS_MAX:
            nested.extend(_tools.decode(tool.tools) or [])
    if len(tools) + len(nested) > TOOLS_MAX:
        raise InvalidRequest(f"tools: more than {TOOLS_MAX}", param="tools")
    return tools + nested


def _check_gemini_tools(raw: msgspec.Raw) -> None:
    for tool in _gemini_tools.decode(raw) or []:
        for name in tool.keys() - GEMINI_TOOLS_FREE:
            raise _refused("tools", f"the tool '{name[:40]}'", "what it looks up is not counted here")


def _check_modalities(raw: msgspec.Raw) -> None:
    config = _generation_config.decode(raw)
    if config is not None:
        for modalities in (config.camel, config.snake):
            _percent("generationConfig.responseModalities", _NO_AUDIO, modalities)


def _positive(raw: msgspec.Raw, otherwise: int) -> int:
    try:
        given = _value.decode(raw)
    except msgspec.DecodeError:
        return otherwise
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else otherwise


def _refused(param: str, what: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"This request uses {what}, which is not supported: {why}.", code="unsupported_parameter", param=param
    )
