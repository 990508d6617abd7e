"""`hypereal speak`: a quick try that saves the file."""

from pathlib import Path
from typing import Annotated

import typer

from hypereal.cli import client, output
from hypereal.cli.client import CannotAsk, Client
from hypereal.cli.options import AsJson, Force, Model, Output, new_app

FORMATS = {"mp3": "mp3", "wav": "wav", "opus": "opus", "ogg": "opus", "aac": "aac", "flac": "flac", "pcm": "pcm"}

app = new_app()


@app.command(epilog='Example: hypereal speak "Hello, and welcome." --voice en_female_calm --output hello.mp3')
def speak(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be said; - reads it from stdin.")],
    model: Model = None,
    voice: Annotated[
        str | None, typer.Option("--voice", metavar="NAME", help="As /v1/audio/voices lists them.")
    ] = None,
    speed: Annotated[float | None, typer.Option("--speed", min=0.25, max=4.0, help="1 is the usual one.")] = None,
    file: Output = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Speak a text, and save it.

    The name's ending says the format: .mp3, .wav, .opus, .aac, .flac, .pcm.
    HYPEREAL_API_KEY is the key, HYPEREAL_BASE_URL the server (http://127.0.0.1:8787).
    """
    asked = Client()
    target = file or Path("speech.mp3")
    form = FORMATS.get(target.suffix.lower().removeprefix("."))
    if form is None:
        raise CannotAsk(f"{target}: the ending may be .{', .'.join(FORMATS)}.")
    client.check_free(target, force=force)
    said = typer.get_text_stream("stdin").read() if text == "-" else text
    body = {"input": said, "model": model or "audio-tts", "voice": voice, "response_format": form, "speed": speed}
    answer = asked.post_bytes("/v1/audio/speech", body)
    with client.writing(target, force=force) as opened:
        opened.write(answer.content)
    cost = float(answer.headers.get("x-hypereal-cost-credits", 0))
    output.tell_saved({"creditsUsed": cost}, [target], as_json=as_json)
