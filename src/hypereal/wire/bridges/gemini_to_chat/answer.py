"""A chat answer as Gemini's chunks."""

import re
from typing import Any, assert_never

import msgspec

from hypereal.wire import events, members
from hypereal.wire.bridges.chat_answers import Begun, Block, Ended, Finish, Finished, Grown, Kind, Opened, Piece
from hypereal.wire.bridges.chat_requests import chat_name
from hypereal.wire.bridges.gemini_to_chat.spelling import camel
from hypereal.wire.bridges.opaque import seal
from hypereal.wire.folding.decoding import mapping, objects
from hypereal.wire.members import encode
from hypereal.wire.request import Request

FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"}
_base64 = re.compile(r"[A-Za-z0-9+/]+={0,2}").fullmatch


class GeminiWriter:
    """The chunks of one answer. Calls come whole, and the last chunk has the ends and the usage, as Google has it."""

    def __init__(self, request: Request) -> None:
        config = _member(request, "generationConfig", "generation_config")
        self._shows_thoughts = bool(camel(mapping(camel(config).get("thinkingConfig"))).get("includeThoughts"))
        self._names = _names(request)
        self._head: dict[str, str] = {}
        self._broken: set[int] = set()
        """Choices with a call whose arguments are no JSON."""
        self._refused: set[int] = set()
        self._thoughts: dict[int, list[str]] = {}
        """By choice. The next call keeps them: vendors want them with its result, and Gemini CLI drops thoughts."""

    def write(self, piece: Piece) -> bytes:
        """The chunk that PIECE is; none where it says nothing here."""
        match piece:
            case Opened():
                named = {"modelVersion": piece.model, "responseId": piece.id}
                self._head = {name: value for name, value in named.items() if value}
            case Begun():
                pass
            case Grown():
                return self._grown(piece.block, piece.text)
            case Ended():
                return self._ended(piece.block)
            case Finished():
                return self._finished(piece)
            case _:
                assert_never(piece)
        return b""

    def _grown(self, block: Block, text: str) -> bytes:
        match block.kind:
            case Kind.REASONING:
                self._thoughts.setdefault(block.choice, []).append(text)
                return self._chunk(block, {"text": text, "thought": True}) if self._shows_thoughts else b""
            case Kind.TEXT | Kind.REFUSAL:
                return self._chunk(block, {"text": text})
            case Kind.CALL | Kind.SIGNATURE:
                return b""
            case _:
                assert_never(block.kind)

    def _ended(self, block: Block) -> bytes:
        match block.kind:
            case Kind.CALL if (arguments := block.arguments) is not None:
                name = self._names.get(block.name, block.name)
                signature = _signature(block.signature, "".join(self._thoughts.pop(block.choice, [])))
                return self._chunk(
                    block, {"functionCall": {"id": block.id, "name": name, "args": arguments}} | signature
                )
            case Kind.CALL:
                self._broken.add(block.choice)
            case Kind.SIGNATURE:
                return self._chunk(block, {"text": ""} | _signature(block.signature))
            case Kind.REFUSAL:
                self._refused.add(block.choice)
        return b""

    def _chunk(self, block: Block, part: dict[str, Any]) -> bytes:
        content = {"role": "model", "parts": [part]}
        return events.event(encode({"candidates": [{"content": content, "index": block.choice}]} | self._head))

    def _finished(self, piece: Finished) -> bytes:
        ends = [
            {"content": {"role": "model", "parts": []}, "index": index, "finishReason": self._reason(index, finish)}
            for index, finish in sorted(piece.finishes.items())
        ]
        last: dict[str, Any] = {"candidates": ends}
        if (usage := piece.usage) is not None:
            last["usageMetadata"] = {
                "promptTokenCount": usage.input_tokens_total,
                "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
                "totalTokenCount": usage.input_tokens_total + usage.output_tokens,
            }
            if usage.cache_read_tokens:
                last["usageMetadata"]["cachedContentTokenCount"] = usage.cache_read_tokens
            if usage.reasoning_tokens:
                last["usageMetadata"]["thoughtsTokenCount"] = usage.reasoning_tokens
        return events.event(encode(last | self._head))

    def _reason(self, index: int, finish: Finish) -> str:
        if index in self._broken and finish.reason != "length":
            return "MALFORMED_FUNCTION_CALL"
        if index in self._refused and finish.reason == "stop":
            return "SAFETY"
        return FINISH_REASONS.get(finish.reason, "OTHER")


def _signature(signature: str, thoughts: str = "") -> dict[str, str]:
    """The member of a part, if any. Google's SDKs read base64 only; what is none, or not all, is put into some."""
    if not signature and not thoughts:
        return {}
    is_printable = not thoughts and _base64(signature) and len(signature) % 4 == 0
    return {"thoughtSignature": signature if is_printable else seal(signature=signature, text=thoughts)}


def _member(request: Request, *names: str) -> dict[str, Any]:
    raw = next((request.fields[name] for name in names if name in request.fields), members.NULL)
    return mapping(members.decoded(raw, names[0]))


def _names(request: Request) -> dict[str, str]:
    """Chat's name -> the caller's, of those functions whose name chat does not take."""
    raw = request.fields.get("tools", msgspec.Raw(b"null"))
    declared = [
        each.get("name")
        for tool in objects(members.decoded(raw, "tools"))
        for each in objects(camel(tool).get("functionDeclarations"))
    ]
    named = {chat_name(name): name for name in declared if isinstance(name, str)}
    return {there: name for there, name in named.items() if there != name}
