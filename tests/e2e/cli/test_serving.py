"""The commands beside a running server."""

import http.client
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

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


def test_a_price_that_is_set_wins_over_the_files_and_its_history_is_kept(serving: Installation) -> None:
    name = "gpt-5.4-nano"
    files = serving.json("models", "prices", name)
    assert files["prices"] == []
    made = serving.json("models", "price", name, "--input", "1", "--output", "2.5", "--note", "as agreed")
    assert (made["price"]["input"], made["price"]["output"], made["price"]["cache_read"]) == (100, 250, 10)
    later = serving.json("models", "price", name, "--input", "2", "--output", "3", "--from", "2999-01-01")
    assert later["from"] == "2999-01-01T00:00:00Z"
    listed = {model["id"]: model for model in serving.json("models", "list")["models"]}
    assert (listed[name]["price"]["input"], listed[name]["sources"]["price.input"]) == (100, "database")
    assert listed[name]["price_version"] == made["version"] == f"p{made['id']}"
    assert listed["gpt-5.4"]["sources"]["price.input"] == "built-in"
    wait_until(lambda: _shown_price(serving, name) == 100, NOTICE_S_MAX, "the server knows")
    assert [one["id"] for one in serving.json("models", "prices", name)["prices"]] == [later["id"], made["id"]]
    assert "as agreed" in serving.run("models", "prices", name).stdout
    assert serving.json("models", "price", name, "--cancel", str(later["id"])) == {
        "model": name,
        "cancelled": later["id"],
    }
    assert serving.run("models", "price", name, "--cancel", str(made["id"])).returncode == 1
    assert serving.json("models", "price", name, "--files")["price"] is None
    again = {model["id"]: model for model in serving.json("models", "list")["models"]}
    assert again[name]["price"] == files["files"]


def _shown_price(serving: Installation, name: str) -> float:
    """The price of a million tokens of input, in credits, as the running server tells it."""
    url = urlsplit(serving.address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
    try:
        connection.request("GET", f"/v1/models/{name}", headers={"authorization": f"Bearer {serving.first_key}"})
        return float(json.loads(connection.getresponse().read())["price"]["input"])
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("no-such", "--input", "1", "--output", "1"), 1),
        (("gpt-5", "--input", "1"), 2),
        (("gpt-5", "--input", "x", "--output", "1"), 2),
        (("gpt-5", "--input", "0", "--output", "1"), 1),
        (("gpt-5", "--input", "1", "--output", "1", "--from", "2020-01-01"), 1),
        (("gpt-5", "--input", "1", "--output", "1", "--from", "soon"), 2),
        (("gpt-5", "--files", "--cancel", "1"), 2),
        (("gpt-5",), 2),
    ],
)
def test_a_price_that_cannot_be_is_refused(serving: Installation, arguments: tuple[str, ...], code: int) -> None:
    done = serving.run("models", "price", *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert serving.json("models", "prices", "gpt-5")["prices"] == []


def test_usage_shows_what_each_model_brought(serving: Installation) -> None:
    shown = serving.json("usage", "--days", "2")
    assert shown["total"]["calls"] == sum(model["calls"] for model in shown["models"])
    assert all(model["upstream_cost"] is None for model in shown["models"])
    assert serving.run("usage").stdout.startswith("model")
    assert serving.run("usage", "--days", "0").returncode == 2


def test_a_key_with_the_scope_account_sees_the_log_and_others_do_not(serving: Installation) -> None:
    create = ("keys", "create", "--email", "olga@example.com", "--scopes")
    statuses = {}
    for scopes in ("inference", "account", "inference, account"):
        key = serving.json(*create, scopes)["key"]
        url = urlsplit(serving.address)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        connection.request("GET", "/api/api-usage", headers={"authorization": f"Bearer {key}"})
        statuses[scopes] = connection.getresponse().status
        connection.close()
    assert statuses == {"inference": 403, "account": 200, "inference, account": 200}
    assert serving.run(*create, "root").returncode == 1
