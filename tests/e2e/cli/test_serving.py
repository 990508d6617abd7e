"""The commands beside a running server."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.e2e.cli.conftest import KEY, Installation, wait_until

NOTICE_S_MAX = 10.0


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_of_the_first_start_works_as_pasted(serving: Installation) -> None:
    command = re.search(r"^curl .*?'$(?!\n  )", serving.first_words, re.M | re.S)
    assert command is not None
    answer = subprocess.run(["sh", "-c", command[0] + " -i"], capture_output=True, timeout=60)
    head, _, body = answer.stdout.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert "x-hypereal-provider: local" in head.lower()
    assert json.loads(body)["choices"][0]["message"]["content"]


def test_the_first_key_is_shown_in_one_piece_and_stands_in_no_log_and_no_command_line(serving: Installation) -> None:
    assert set(KEY.findall(serving.first_words)) == {serving.first_key}
    assert "1000 credits" in serving.first_words
    assert serving.first_key not in serving.log
    for process in Path("/proc").glob("[0-9]*"):
        try:
            assert serving.first_key.encode() not in (process / "cmdline").read_bytes()
        except OSError:
            continue
    assert not list(serving.data_dir.glob("first_start"))


def test_nothing_but_the_welcome_is_printed_into_a_pipe(serving: Installation) -> None:
    assert serving.first_words.startswith("Hypereal is ready\n")
    assert "\x1b" not in serving.first_words
    assert "Preparing" not in serving.log


def test_a_made_key_works_at_once_and_a_revoked_one_no_more(serving: Installation) -> None:
    made = serving.json("keys", "create", "--email", "ada@example.com", "--credits", "300", "--name", "agent")
    assert KEY.fullmatch(made["key"])
    assert made["balance"] == 300
    assert serving.status_of(made["key"]) == 200
    assert serving.json("keys", "revoke", made["id"]) == {"id": made["id"], "revoked": True}
    wait_until(lambda: serving.status_of(made["key"]) == 401, NOTICE_S_MAX, "the key is refused")


def test_listed_keys_show_their_terms_and_no_secret(serving: Installation) -> None:
    made = serving.json(
        *("keys", "create", "--email", "grace@example.com", "--spending-limit", "12.5"),
        *("--models", "gpt-5-mini,claude-3-5-sonnet-20241022"),
    )
    listed = serving.run("keys", "list", "--json")
    assert not KEY.search(listed.stdout)
    rows = {key["id"]: key for key in json.loads(listed.stdout)["keys"]}
    assert "first" in {key["name"] for key in rows.values()}
    row = rows[made["id"]]
    assert row["email"] == "grace@example.com"
    assert row["spending_limit"] == 12.5
    assert row["models"] == ["claude-sonnet-4-6", "gpt-5.4-mini"]
    assert row["hint"] == made["key"][-4:]


def test_a_key_is_rotated_and_turned_off_and_on(serving: Installation) -> None:
    made = serving.json("keys", "create", "--email", "ada@example.com", "--credits", "300")
    rotated = serving.json("keys", "rotate", made["id"], "--grace-hours", "0")
    wait_until(lambda: serving.status_of(made["key"]) == 401, NOTICE_S_MAX, "the old secret is refused")
    assert serving.status_of(rotated["key"]) == 200
    assert serving.json("keys", "disable", made["id"]) == {"id": made["id"], "active": False}
    wait_until(lambda: serving.status_of(rotated["key"]) == 401, NOTICE_S_MAX, "the key is off")
    assert serving.json("keys", "enable", made["id"]) == {"id": made["id"], "active": True}
    wait_until(lambda: serving.status_of(rotated["key"]) == 200, NOTICE_S_MAX, "the key is on")
    assert serving.run("keys", "enable", "key_none").returncode == 1


def test_a_key_is_made_with_all_its_terms(serving: Installation) -> None:
    made = serving.json(
        *("keys", "create", "--email", "lin@example.com", "--spending-limit", "5", "--auto-disable"),
        *("--allowed-ips", "10.0.0.0/8,127.0.0.1", "--scopes", "account,inference", "--expires", "2020-01-02"),
    )
    [row] = serving.json("keys", "list", "--email", "lin@example.com")["keys"]
    assert (row["id"], row["state"], row["auto_disable"]) == (made["id"], "expired", True)
    assert row["allowed_ips"] == ["10.0.0.0/8", "127.0.0.1/32"]
    assert row["scopes"] == ["account", "inference"]
    assert row["expires_at"] == "2020-01-02T00:00:00Z"
    assert serving.run("keys", "create", "--email", "lin@example.com", "--scopes", "all").returncode == 1


def test_a_user_gets_a_rate_of_their_own(serving: Installation) -> None:
    serving.json("keys", "create", "--email", "ada@example.com")
    limited = serving.json("users", "limit", "--email", "ada@example.com", "--requests-per-minute", "1200")
    assert limited == {"email": "ada@example.com", "requests_per_minute": 1200}
    assert serving.json("users", "limit", "--email", "ADA@example.com")["requests_per_minute"] is None
    assert serving.run("users", "limit", "--email", "nobody@example.com").returncode == 1


def test_a_password_can_be_given_where_no_other_user_sees_it(serving: Installation) -> None:
    create = ("users", "create", "--email", "tim@example.com", "--password", "-")
    short = serving.run(*create, stdin="short\n")
    assert short.returncode == 1
    assert "8 to" in short.stderr
    assert serving.run(*create, stdin="long enough\n").returncode == 0


def test_credits_add_up(serving: Installation) -> None:
    serving.json("keys", "create", "--email", "Alan@example.com", "--credits", "0.000001")
    added = serving.json("credits", "add", "--email", "ALAN@example.com", "--credits", "200", "--note", "invoice 7")
    assert added["balance"] == 200.000001


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("credits add --email nobody@example.com --credits 5", 1, "hypereal users create --email nobody@example.com"),
        ("credits add --email operator@localhost --credits -5", 2, "more than 0"),
        ("users create --email operator@localhost", 1, "already"),
        ("keys create --email x@example.com --models no-such-model", 1, "hypereal models list"),
        ("keys revoke key_0", 1, "no such key"),
    ],
)
def test_a_refused_command_says_why_on_stderr_and_prints_nothing(
    serving: Installation, command: str, code: int, said: str
) -> None:
    done = serving.run(*command.split(), "--json")
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_status_tells_processes_readiness_and_load(serving: Installation) -> None:
    told = serving.json("status")
    assert told["running"] is True
    assert told["address"] == serving.address
    assert told["ready"]["status"] == "ok"
    assert [process["name"] for process in told["processes"]][:3] == ["supervisor", "data-0", "control"]
    for process in told["processes"]:
        assert process["memory_bytes"] > 10 * 1024**2
        os.kill(process["pid"], 0)
    shown = serving.run("status")
    assert shown.returncode == 0
    assert serving.address in shown.stdout


def test_a_second_server_on_the_folder_is_refused_with_the_name_of_the_first(serving: Installation) -> None:
    done = serving.run("serve")
    assert done.returncode == 1
    assert f"process {serving.pid} (hypereal serve)" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_finds_the_running_server_well(serving: Installation) -> None:
    told = serving.json("doctor")
    assert told["ok"] is True
    by_check = {check["check"]: check for check in told["checks"]}
    assert "is served by process" in by_check["address"]["text"]
    assert by_check["database"]["state"] == "ok"


def test_migrate_finds_nothing_to_do(serving: Installation) -> None:
    assert serving.json("migrate")["applied"] is False


def test_audit_finds_the_sums_right(serving: Installation) -> None:
    assert serving.json("audit") == {"ok": True, "differences": []}


def test_a_broken_first_start_is_made_up_for_by_the_next_without_a_second_gift(
    serving: Installation,
) -> None:
    serving.stop()
    assert serving.json("status", code=1)["running"] is False
    (serving.data_dir / "first_start").touch()
    told = serving.start("OPENAI_BASE_URL")
    shown = set(KEY.findall(told))
    assert len(shown) == 1
    assert shown != {serving.first_key}
    added = serving.json("credits", "add", "--email", "operator@localhost", "--credits", "1")
    assert added["balance"] <= 1001


def test_a_later_start_says_two_lines_and_shows_no_key(serving: Installation) -> None:
    serving.stop()
    told = serving.start("No provider has a key")
    assert told.startswith("Hypereal serves http://127.0.0.1:")
    assert told.count("\n") == 2
    assert not KEY.search(told)
