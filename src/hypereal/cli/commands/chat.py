"""`hypereal chat`: one question, whose answer is shown as it comes."""

import sys
from typing import Annotated, Any

import msgspec
import typer

from hypereal.cli import output
from hypereal.cli.client import CannotAsk, Client
from hypereal.cli.options import AsJson, Model, new_app

app = new_app()


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    error: dict[str, Any] | None = None


@app.command(epilog='Example: hypereal chat "Why is the sky blue?" --model claude-haiku-4-5')
def chat(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What you ask; - reads it from stdin.")],
    model: Model = None,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="How it is to answer.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a language model, and see its answer as it comes.

    HYPEREAL_API_KEY is the key, HYPEREAL_BASE_URL the server (http://127.0.0.1:8787). Without --model a cheap and quick
    one answers.
    """
    asked = Client()
    words = typer.get_text_stream("stdin").read() if prompt == "-" else prompt
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": words})
    body: dict[str, Any] = {"messages": messages, **({"model": model} if model else {"intent": "chat-fast"})}
    if as_json:
        output.write_json(asked.post("/v1/chat/completions", body))
        return
    with asked.stream("/v1/chat/completions", {**body, "stream": True}) as lines:
        for line in lines:
            if line.startswith("data:") and (told := line.removeprefix("data:").strip()) != "[DONE]":
                sys.stdout.write(_text(told))
                sys.stdout.flush()
    sys.stdout.write("\n")


def _text(told: str) -> str:
    try:
        chunk = msgspec.json.decode(told, type=_Chunk)
    except msgspec.MsgspecError:
        return ""
    if chunk.error is not None:
        sys.stdout.write("\n")
        raise CannotAsk(str(chunk.error.get("message")))
    return "".join(choice.delta.content or "" for choice in chunk.choices)
