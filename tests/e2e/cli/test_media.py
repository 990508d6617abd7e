"""The commands for a quick try, as processes that ask a real server without any vendor's key."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.background import Background
from tests.support.ledger import micro
from tests.support.server import Caller, Server

COMMAND_S_MAX = 100
Run = Callable[..., "subprocess.CompletedProcess[str]"]


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


@pytest.fixture
def run(alone: Server, caller: Caller, tmp_path: Path) -> Run:
    """Runs a command in a folder of its own, with the key in its environment."""

    def run(*arguments: str, given: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HYPEREAL_")}
        path = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        key = {"HYPEREAL_API_KEY": caller.secret, "HYPEREAL_BASE_URL": f"{alone.url}/v1"}
        return subprocess.run(
            [sys.executable, "-m", "hypereal", *arguments],
            cwd=tmp_path,
            env={**kept, **path, **key, **environ},
            input=given,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )

    return run


def test_images_are_saved_and_never_over_a_file_that_is_there(run, alone, caller, tmp_path):
    made = run("images", "a red fox", "-n", "2", "--size", "1024x1024", "--output", "fox.png")
    assert (made.returncode, made.stdout) == (0, "fox.png is saved.\nfox-2.png is saved.\n4 credits.\n"), made.stderr
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("fox.png", "fox-2.png"))
    before = (tmp_path / "fox.png").read_bytes()
    again = run("images", "a hen", "--output", "fox.png")
    assert (again.returncode, "--force" in again.stderr) == (1, True)
    assert (tmp_path / "fox.png").read_bytes() == before
    assert alone.balance(caller).free == micro(996), "refused before anything was paid"
    forced = run("images", "a hen", "--image", "fox.png", "--force", "--output", "fox.png", "--json")
    assert json.loads(forced.stdout)["files"] == ["fox.png"], forced.stderr
    assert (tmp_path / "fox.png").read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fox-2.png", "fox.png"]


def test_a_video_is_waited_for_and_its_job_is_shown(run, tmp_path):
    made = run("videos", "a red fox", "--model", "MiniMax-Hailuo-02", "--duration", "6", "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (tmp_path / "video.mp4").read_bytes()[4:8] == b"ftyp"
    assert (told["creditsUsed"], told["files"]) == (12, ["video.mp4"])
    listed = run("jobs", "list", "--type", "video")
    assert told["jobId"] in listed.stdout
    assert json.loads(run("jobs", "show", told["jobId"], "--json").stdout)["status"] == "completed"
    waited = run("jobs", "wait", told["jobId"])
    assert (waited.returncode, "completed" in waited.stdout) == (0, True)
    late = run("jobs", "cancel", told["jobId"])
    assert (late.returncode, late.stdout) == (1, "")
    assert "completed already" in late.stderr


def test_what_is_spoken_is_written_down(run, tmp_path):
    spoken = run("speak", "-", "--output", "said.wav", given="The quick brown fox.")
    assert (spoken.returncode, spoken.stdout) == (0, "said.wav is saved.\n2 credits.\n"), spoken.stderr
    assert (tmp_path / "said.wav").read_bytes().startswith(b"RIFF")
    heard = run("transcribe", "said.wav")
    assert (heard.returncode, "quick brown fox" in heard.stdout.lower()) == (0, True), heard.stderr
    assert json.loads(run("transcribe", "said.wav", "--json").stdout)["segments"][0]["start"] == 0
    subtitled = run("transcribe", "said.wav", "--format", "srt", "--output", "said.srt")
    assert subtitled.returncode == 0
    assert (tmp_path / "said.srt").read_text("utf-8").startswith("1\n00:00:00,000")


def test_chat_shows_an_answer(run):
    answer = run("chat", "Say hello.", "--model", "gpt-5.4-nano")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.strip()
    told = json.loads(run("chat", "-", "--json", given="Say hello.").stdout)
    assert told["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "told"),
    [
        (["jobs", "list"], {"HYPEREAL_API_KEY": ""}, 1, "HYPEREAL_API_KEY is not set"),
        (["jobs", "list"], {"HYPEREAL_BASE_URL": "http://127.0.0.1:9"}, 1, "Nothing answers at http://127.0.0.1:9"),
        (["jobs", "list"], {"HYPEREAL_BASE_URL": "ftp://a"}, 1, "HYPEREAL_BASE_URL"),
        (["jobs", "list"], {"HYPEREAL_API_KEY": "ck_" + "0" * 64}, 1, "key"),
        (["jobs", "show", "job_none"], {}, 1, "There is no such job"),
        (["jobs", "list", "--limit", "0"], {}, 2, "--limit"),
        (["images"], {}, 2, "PROMPT"),
        (["images", "a", "--model", "kling-v3"], {}, 1, "/v1/videos/generate"),
        (["images", "a", "--output", "no/such/a.png"], {}, 1, "There is no folder"),
        (["speak", "a", "--output", "a.txt"], {}, 1, ".mp3"),
        (["speak", "a", "--voice", "nobody"], {}, 1, "en_male_calm"),
        (["transcribe", "none.mp3"], {}, 2, "none.mp3"),
        (["chat", "a", "--model", "no-such-model"], {}, 1, "no-such-model"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(run, arguments, environ, code, told):
    done = run(*arguments, **environ)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
