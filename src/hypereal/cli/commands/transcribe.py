"""`hypereal transcribe`: a quick try that prints what was heard."""

from pathlib import Path
from typing import Annotated

import typer

from hypereal.cli import client, output
from hypereal.cli.client import CannotAsk, Client
from hypereal.cli.options import AsJson, Force, Model, Output, new_app

FORMATS = ("text", "srt", "vtt")

app = new_app()


@app.command(epilog="Example: hypereal transcribe talk.mp3 --format srt --output talk.srt")
def transcribe(
    recording: Annotated[
        Path, typer.Argument(metavar="FILE", help="MP3, WAV, FLAC, Ogg, AAC, MP4 or WebM.", exists=True, dir_okay=False)
    ],
    model: Model = None,
    language: Annotated[str | None, typer.Option("--language", metavar="L", help="What is spoken, as en.")] = None,
    form: Annotated[str, typer.Option("--format", metavar="F", help="text, srt or vtt.")] = "text",
    file: Output = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write down what a recording says.

    It goes to the terminal, or into --output.
    HYPEREAL_API_KEY is the key, HYPEREAL_BASE_URL the server (http://127.0.0.1:8787). --json has every part with its
    times.
    """
    asked = Client()
    if form not in FORMATS:
        raise CannotAsk(f"--format: {form} is none of {', '.join(FORMATS)}.")
    if file is not None:
        client.check_free(file, force=force)
    fields = {"model": model or "audio-asr", "response_format": "verbose_json" if as_json and file is None else form}
    answer = asked.post_file(
        "/v1/audio/transcriptions", fields | ({"language": language} if language else {}), recording
    )
    if file is not None:
        with client.writing(file, force=force) as opened:
            opened.write(answer.content)
        cost = float(answer.headers.get("x-hypereal-cost-credits", 0))
        output.tell_saved({"creditsUsed": cost}, [file], as_json=as_json)
    elif as_json:
        output.write_json(answer.json())
    else:
        output.write(answer.text.removesuffix("\n"))
