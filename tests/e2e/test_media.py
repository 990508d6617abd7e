"""The real server without any vendor's key, asked for pictures and video: by its own API, and by OpenAI's client."""

import base64
import io
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import av
import openai
import pytest
from tests.support.background import Background
from tests.support.ledger import micro
from tests.support.server import Caller, Server
from tests.support.sites import PNG as NO_REAL_PNG

from hypereal.gateway.media import pictures

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API")

IMAGES, VIDEOS = "/v1/images/generations", "/v1/videos/generate"
SUBMISSIONS = 60


@pytest.fixture(scope="module")
def alone(background: Background) -> Iterator[Server]:
    """A server whose targets all have no credential; when all is done its books agree."""
    running = Server(background, {})
    yield running
    assert running.audit() == []
    assert running.stop() == 0


@pytest.fixture
def caller(alone: Server) -> Caller:
    return alone.caller(1000)


def fetched(server: Server, url: str) -> bytes:
    path = url[url.index("/v1/files/") :]
    answer = server.call(path, b"", "", method="GET")
    assert answer.status == 200
    return answer.body


def frame_of(body: bytes) -> tuple[int, int, float]:
    """Width, height, seconds."""
    with av.open(io.BytesIO(body)) as container:
        stream = container.streams.video[0]
        next(container.decode(stream))
        return stream.width, stream.height, (container.duration or 0) / 1_000_000


@pytest.fixture
def client(alone: Server, caller: Caller) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{alone.url}/v1", api_key=caller.secret, max_retries=0) as one:
        yield one


def ended(server: Server, caller: Caller, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = server.call(f"/v1/jobs/{job_id}", b"", caller.secret, method="GET").json
        return job if job["status"] != "processing" else None

    found: dict[str, Any] = server.wait_for(look, f"{job_id} at its end", within_s=60)
    return found


def test_images_are_real_and_paid_by_the_piece(alone, caller):
    asked = {"model": "nano_banana_2", "prompt": "a red fox", "aspect_ratio": "16:9", "resolution": "0.5K", "n": 2}
    answer = alone.call(IMAGES, {**asked, "user": "ada", "metadata": {"team": "a"}}, caller.secret)
    assert (answer.status, answer.json["creditsUsed"], len(answer.json["data"])) == (200, 6, 2)
    assert answer.get("x-hypereal-provider") == "local"
    assert (answer.get("x-hypereal-model"), answer.get("x-hypereal-cost-credits")) == ("nano_banana_2", "6")
    width, height, _ = frame_of(fetched(alone, answer.json["data"][0]["url"]))
    assert width / height == pytest.approx(16 / 9, rel=0.02)
    row = alone.usage(answer.get("x-hypereal-request-id"))
    assert (row["endpoint"], row["charged"], row["end_user"]) == ("images/generations", micro(6), "ada")
    assert json.loads(row["metadata"]) == {"team": "a"}
    assert alone.balance(caller).free == micro(994)


def test_references_change_what_is_drawn(alone, caller):
    fox = pictures.draw_png("a fox", 1, (64, 64))
    url = "data:image/png;base64," + base64.b64encode(fox).decode()
    asked = {"model": "nano_banana", "prompt": "a hen", "seed": 5, "size": "1024x1024", "response_format": "b64_json"}
    plain, mixed, bad = (
        alone.call("/v1/images/generate", {**asked, "reference_images": given}, caller.secret)
        for given in ([], [url], ["data:image/png;base64," + base64.b64encode(NO_REAL_PNG).decode()])
    )
    one, other = (base64.b64decode(answer.json["data"][0]["b64_json"]) for answer in (plain, mixed))
    assert frame_of(one)[:2] == frame_of(other)[:2] == (1024, 1024)
    assert one != other
    assert plain.json["data"][0]["model"] == "nano_banana"
    assert (bad.status, bad.error["type"]) == (400, "invalid_request_error")


def test_an_intent_takes_the_cheapest_that_fits(alone, caller):
    answer = alone.call("/v1/images/generate", {"intent": "text-to-image-fast", "prompt": "a fox"}, caller.secret)
    assert (answer.json["data"][0]["model"], answer.json["creditsUsed"]) == ("gpt-4o-image", 2)
    wide = {"intent": "text-to-image-fast", "prompt": "a fox", "aspect_ratio": "21:9"}
    assert alone.call("/v1/images/generate", wide, caller.secret).get("x-hypereal-model") == "doubao-seedream-4-0"
    pinned = {"intent": "text-to-image-fast", "model": "nano_banana", "prompt": "a fox"}
    assert alone.call("/v1/images/generate", pinned, caller.secret).get("x-hypereal-model") == "nano_banana"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (IMAGES, {"model": "gpt-image-2", "prompt": "a", "size": "9x9"}, "size"),
        (IMAGES, {"model": "gpt-image-2"}, "prompt"),
        (IMAGES, {"prompt": "a"}, "model"),
        (IMAGES, {"model": "kling-v3", "prompt": "a"}, "model"),
        (IMAGES, {"model": "gpt-image-2", "prompt": 5}, "prompt"),
        (IMAGES, {"model": "gpt-image-2", "prompt": "a", "n": "many"}, "n"),
        (IMAGES, {"model": "gpt-image-2", "prompt": "a", "reference_images": "ftp://x"}, "reference_images"),
        (IMAGES, {"model": "gpt-image-2", "prompt": "a", "image": "https://127.0.0.1/a.png"}, "reference_images"),
        ("/v1/images/generate", {"intent": "chat-fast", "prompt": "a"}, "intent"),
        (VIDEOS, {"model": "kling-v3", "prompt": "a", "duration": 99}, "duration"),
        (VIDEOS, {"model": "kling-v3", "input": {"prompt": "a", "aspect_ratio": "7:5"}}, "aspect_ratio"),
        (VIDEOS, {"model": "kling-v3", "prompt": "a", "webhook_url": "http://127.0.0.1/"}, "webhook_url"),
        (VIDEOS, {"model": "kling-v3", "prompt": "a", "input": 5}, "input"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_charged(alone, caller, path, body, param):
    answer = alone.call(path, body, caller.secret)
    assert (answer.status, answer.error["type"], answer.error["param"]) == (400, "invalid_request_error", param)
    assert alone.balance(caller).free == micro(1000)
    assert alone.usage(answer.get("x-request-id"))["status"] == 400


def test_a_poor_caller_is_told_402(alone):
    poor = alone.caller(1)
    answer = alone.call(IMAGES, {"model": "gpt-image-2", "prompt": "a"}, poor.secret)
    assert (answer.status, answer.error["type"]) == (402, "insufficient_credits")


def test_a_key_of_other_models_is_told_403(alone):
    bound = alone.caller(models=frozenset({"nano_banana"}))
    answer = alone.call(IMAGES, {"model": "gpt-image-2", "prompt": "a"}, bound.secret)
    assert answer.status == 403


def test_submissions_are_counted_and_polls_are_not(alone):
    busy = alone.caller(1000)
    bad = {"model": "gpt-image-2", "prompt": "a", "size": "9x9"}
    statuses = [alone.call("/v1/images/generations", bad, busy.secret).status for _ in range(2 * SUBMISSIONS + 1)]
    assert statuses.count(400) in (SUBMISSIONS, 2 * SUBMISSIONS)  # the minute may have ended in between
    if statuses[-1] == 429:
        assert alone.call("/v1/jobs", b"", busy.secret, method="GET").status == 200


def test_a_video_is_begun_polled_and_paid_by_the_second(alone, caller):
    body = {"model": "MiniMax-Hailuo-02", "input": {"prompt": "a red fox", "duration": 6}}
    begun = alone.call(VIDEOS, body, caller.secret)
    assert (begun.status, begun.json["status"], begun.json["creditsUsed"]) == (202, "processing", 12)
    assert begun.json["pollUrl"] == f"/v1/jobs/{begun.json['jobId']}"
    job = ended(alone, caller, begun.json["jobId"])
    assert (job["status"], job["type"], job["creditsUsed"], job["model"]) == (
        "completed",
        "video",
        12,
        "MiniMax-Hailuo-02",
    )
    assert job["outputs"] == [job["outputUrl"]]
    _, height, seconds = frame_of(fetched(alone, job["outputUrl"]))
    assert (height, seconds) == (768, pytest.approx(6, abs=0.1))
    listed = alone.call("/v1/jobs?type=video&limit=1&model=x", b"", caller.secret, method="GET").json
    assert [one["jobId"] for one in listed["data"]] == [job["jobId"]]
    assert alone.call(f"/v1/jobs/{job['jobId']}", b"", alone.caller().secret, method="GET").status == 404
    assert alone.call(f"/v1/jobs/{job['jobId']}/cancel", b"", caller.secret).status == 409


def test_a_video_is_waited_for(alone, caller):
    body = {"model": "MiniMax-Hailuo-02", "prompt": "a red fox"}
    answer = alone.call("/v1/video/generations", body, caller.secret)
    assert (answer.status, answer.json["status"], answer.json["creditsUsed"]) == (200, "completed", 12)


def test_a_key_that_is_sent_twice_is_paid_once(alone, caller):
    body = {"model": "gpt-4o-image", "prompt": "a fox"}
    first, again = (alone.call("/v1/images/generations", body, caller.secret, idempotency_key="k") for _ in range(2))
    assert first.json == again.json
    other = alone.call(IMAGES, {**body, "n": 2}, caller.secret, idempotency_key="k")
    assert (other.status, other.error["type"]) == (409, "conflict_error")
    assert alone.balance(caller).free == micro(998)


def test_openais_client_makes_edits_and_films(alone, client, caller):
    made = client.images.generate(model="gpt-image-2", prompt="a fox", size="1536x1024", response_format="b64_json")
    picture = base64.b64decode(made.data[0].b64_json)
    assert frame_of(picture)[:2] == (1536, 1024)
    edited = client.images.edit(model="nano_banana", image=[("a.png", picture), ("b.png", picture)], prompt="a hen")
    assert frame_of(fetched(alone, edited.data[0].url))[:2] == (1024, 1024)
    video = client.videos.create(model="MiniMax-Hailuo-02", prompt="a fox", seconds="6")
    assert (video.object, video.status) == ("video", "queued")
    ended(alone, caller, video.id)
    video = client.videos.retrieve(video.id)
    assert (video.status, video.progress, video.seconds) == ("completed", 100, "6")
    assert frame_of(client.videos.download_content(video.id).read())[1] == 768


def test_openais_client_is_told_what_is_wrong(client):
    with pytest.raises(openai.BadRequestError) as wrong:
        client.images.generate(model="gpt-image-2", prompt="a fox", size="256x256")
    assert "4096x4096" in str(wrong.value)
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve("job_none")


def test_the_other_routes_stay_quick_while_it_is_drawn(alone, caller):
    body = {"model": "MiniMax-Hailuo-02", "prompt": "a red fox", "duration": 10}
    job_id = alone.call("/v1/videos/generate", body, caller.secret).json["jobId"]
    with urllib.request.urlopen(f"{alone.url}/healthz") as answer:
        assert answer.status == 200
    assert alone.call(f"/v1/jobs/{job_id}", b"", caller.secret, method="GET").json["status"] == "processing"
    ended(alone, caller, job_id)
