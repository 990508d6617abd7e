"""`hypereal videos`: a quick try that saves the file."""

from pathlib import Path
from typing import Annotated

import typer

from hypereal.cli import client, output
from hypereal.cli.client import Client
from hypereal.cli.options import AsJson, Force, Model, Output, new_app

app = new_app()


@app.command(epilog='Example: hypereal videos "a red fox runs" --model MiniMax-Hailuo-02 --output fox.mp4')
def videos(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What is to be seen.")],
    model: Model = None,
    duration: Annotated[int | None, typer.Option("--duration", min=1, metavar="S", help="Seconds.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option("--aspect-ratio", metavar="W:H", help="As 16:9.")] = None,
    resolution: Annotated[str | None, typer.Option("--resolution", metavar="R", help="As 720p.")] = None,
    image_url: Annotated[str | None, typer.Option("--image-url", metavar="URL", help="The first picture.")] = None,
    file: Output = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a video, wait for it, and save it.

    Ctrl-C leaves, and does not cancel it.
    HYPEREAL_API_KEY is the key, HYPEREAL_BASE_URL the server (http://127.0.0.1:8787). Without --model the cheapest
    one answers.
    """
    asked = Client()
    target = file or Path("video.mp4")
    client.check_free(target, force=force)
    intent = "image-to-video" if image_url else "text-to-video-fast"
    body = {"prompt": prompt, "model": model, "intent": None if model else intent, "duration": duration}
    body |= {"aspect_ratio": aspect_ratio, "resolution": resolution, "image_url": image_url}
    job = client.done(asked, asked.post("/v1/videos/generate", body)["jobId"])
    asked.save(job.outputs[0], target, force=force)
    output.tell_saved({"jobId": job.job_id, "creditsUsed": job.credits_used}, [target], as_json=as_json)
