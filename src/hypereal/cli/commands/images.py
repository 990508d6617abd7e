"""`hypereal images`: a quick try that saves files."""

import base64
import mimetypes
from pathlib import Path
from typing import Annotated, Any

import typer

from hypereal.cli import client, output
from hypereal.cli.client import Client
from hypereal.cli.options import AsJson, Force, Model, Output, new_app

IMAGES_MAX = 10

app = new_app()


@app.command(epilog='Example: hypereal images "a red fox in the snow" --size 16:9 --output fox.png')
def images(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What is to be seen.")],
    model: Model = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="SIZE", help="1024x1024, 16:9, 2K: what the model has.")
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, max=IMAGES_MAX, help="How many.")] = 1,
    reference: Annotated[
        list[str] | None, typer.Option("--image", metavar="FILE", help="A picture to begin with, or its URL.")
    ] = None,
    file: Output = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make images, and save them.

    The first is saved as --output, others with a number.
    HYPEREAL_API_KEY is the key, HYPEREAL_BASE_URL the server (http://127.0.0.1:8787). Without --model the cheapest
    one answers.
    """
    asked = Client()
    files = _files(file or Path("image.png"), count)
    client.check_free(*files, force=force)
    intent = "image-edit" if reference else "text-to-image-fast"
    body: dict[str, Any] = {"prompt": prompt, "model": model, "size": size, "n": count}
    body |= {"intent": None if model else intent, "reference_images": [_url(one) for one in reference or ()] or None}
    told = asked.post("/v1/images/generate", body)
    if "jobId" in told:
        job = client.done(asked, told["jobId"])
        urls, told = job.outputs, {"resultId": job.job_id, "creditsUsed": job.credits_used}
    else:
        urls = [one["url"] for one in told["data"]]
    for url, target in zip(urls, files, strict=False):
        asked.save(url, target, force=force)
    output.tell_saved(told, files[: len(urls)], as_json=as_json)


def _files(first: Path, count: int) -> list[Path]:
    return [first, *(first.with_stem(f"{first.stem}-{number}") for number in range(2, count + 1))]


def _url(given: str) -> str:
    if given.startswith(("https://", "http://", "data:")):
        return given
    kind = mimetypes.guess_type(given)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(client.read_file(Path(given))).decode()}"
