"""The commands while no server runs."""

import json
import socket

import pytest
from tests.e2e.cli.conftest import Installation
from tests.support.buckets import BUCKET, S3Server

from hypereal.cli.app import COMMANDS
from hypereal.serve import locks


def test_a_command_starts_the_database_for_its_own_duration_as_an_ordinary_user(ordinary: Installation) -> None:
    made = ordinary.json("keys", "create", "--email", "ada@example.com", "--credits", "500")
    assert made["balance"] == 500
    assert locks.is_free(ordinary.data_dir / "lock"), "PostgreSQL still runs"
    assert locks.is_free(ordinary.data_dir / "serve.lock")
    assert (ordinary.data_dir / "postgres").stat().st_uid == ordinary.data_dir.stat().st_uid
    assert ordinary.json("audit")["ok"] is True


def test_status_and_doctor_make_nothing(empty: Installation) -> None:
    assert empty.run("status").returncode == 1
    assert empty.json("doctor")["ok"] is True
    assert not empty.data_dir.exists()


def test_doctor_connects_to_a_provider_but_sends_nothing(empty: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream, socket.create_server(("127.0.0.1", 0)) as closed:
        unused_port = closed.getsockname()[1]
        closed.close()
        (empty.folder / "hypereal.toml").write_text(
            f"""
            [providers.near]
            dialects = ["openai_chat"]
            base_url = "http://127.0.0.1:{upstream.getsockname()[1]}/v1"
            api_key = "sk-near-and-secret"
            [providers.gone]
            dialects = ["openai_chat"]
            base_url = "http://127.0.0.1:{unused_port}/v1"
            api_key = "sk-gone-and-secret"
            [providers.films]
            driver = "kling"
            base_url = "http://127.0.0.1:{unused_port}"
            api_key = "sk-films-and-secret"
            """
        )
        done = empty.run("doctor", "--json")
        connection, _ = upstream.accept()
        connection.settimeout(5)
        assert connection.recv(1) == b""
        connection.close()
    states = {check["check"]: check["state"] for check in json.loads(done.stdout)["checks"]}
    assert (states["near"], states["gone"], states["films"]) == ("ok", "warning", "warning")
    assert done.returncode == 0
    assert "secret" not in done.stdout + done.stderr


def test_doctor_names_who_has_the_port(empty: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = empty.run("doctor", "--json", environ={"HYPEREAL_PORT": str(taken.getsockname()[1])})
    assert done.returncode == 1
    (found,) = (check for check in json.loads(done.stdout)["checks"] if check["state"] == "error")
    assert found["check"] == "address"
    assert "is taken by" in found["text"]


def test_an_unknown_key_in_the_file_is_named(empty: Installation) -> None:
    (empty.folder / "hypereal.toml").write_text("[server]\nprot = 1\n")
    for command in ("doctor", "serve"):
        done = empty.run(command)
        assert done.returncode == 1
        assert "server.prot: unknown key" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_a_driver_that_is_not_there_is_named(empty: Installation) -> None:
    (empty.folder / "hypereal.toml").write_text(
        '[providers.acme]\ndriver = "acmee"\nbase_url = "https://acme.example"\napi_key = "k"\n'
    )
    for command in (("doctor",), ("models", "check")):
        done = empty.run(*command)
        assert done.returncode == 1
        assert "providers.acme: driver: there is no 'acmee'" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_models_show_where_each_value_comes_from_and_who_answers(empty: Installation) -> None:
    (empty.folder / "hypereal.toml").write_text(
        '[models."gpt-5.4"]\nprice = { input = 3 }\n[models.mine]\ntargets = ["openai:x"]\n'
    )
    listed = empty.run("models", "list", "--json", environ={"OPENAI_API_KEY": "sk-of-the-operator"})
    models = {model["id"]: model for model in json.loads(listed.stdout)["models"]}
    assert models["gpt-5.4"]["price"]["input"] == 300
    assert models["gpt-5.4"]["sources"]["price.input"] == "hypereal.toml"
    assert models["gpt-5.4"]["sources"]["price.output"] == "built-in"
    assert models["gpt-5.4"]["targets"][0] == {"target": "openai:gpt-5.4", "weight": None, "usable": True}
    assert models["gpt-5.4"]["local"] is False
    assert models["claude-opus-4-6"]["local"] is True
    assert "sk-of" not in listed.stdout
    checked = empty.json("models", "check", code=1)
    assert any("mine" in error and "no price" in error for error in checked["errors"])
    assert any(note.startswith("openai has no credential") for note in checked["notes"])


def test_help_loads_nothing_that_it_does_not_show(empty: Installation) -> None:
    done = empty.run("--help", environ={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)
    assert " typer\n" in done.stderr
    for heavy in ("asyncpg", "pydantic", "structlog", "rich", "hypereal.kit"):
        assert f" {heavy}\n" not in done.stderr


def test_an_ordinary_users_backup_comes_to_life_in_another_folder(ordinary: Installation) -> None:
    made = ordinary.json("keys", "create", "--email", "ada@example.com", "--credits", "500")
    file, other = ordinary.folder / "saved.zip", ordinary.folder / "other"
    saved = ordinary.json("backup", str(file))
    assert saved["rows"]["keys"] == 1
    there = ("--data-dir", str(other))
    assert ordinary.json("restore", str(file), *there)["rows"] == saved["rows"]
    assert ordinary.json("audit", *there)["ok"] is True
    assert [key["id"] for key in ordinary.json("keys", "list", *there)["keys"]] == [made["id"]]
    assert locks.is_free(other / "lock"), "PostgreSQL still runs"
    again = ordinary.run("restore", str(file), *there)
    assert again.returncode == 1
    assert "1 rows of keys" in again.stderr
    assert "--force" in again.stderr


def test_what_cannot_be_saved_or_restored_makes_nothing(empty: Installation) -> None:
    done = empty.run("backup", "saved.zip")
    assert done.returncode == 1
    assert "nothing to save" in done.stderr
    (empty.folder / "other.zip").write_bytes(b"PK")
    for file, says in (("other.zip", "is not a whole backup"), ("nowhere.zip", "No such file")):
        done = empty.run("restore", file)
        assert done.returncode == 1
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    assert {path.name for path in empty.folder.iterdir()} == {"other.zip"}


def storage_section(s3: S3Server, **changes: str) -> str:
    lines = (f'{name} = "{value}"' for name, value in (s3.section | changes).items())
    return "\n".join(["[storage]", *lines, ""])


def test_doctor_tries_the_bucket_and_says_what_to_mend(empty: Installation, s3_server: S3Server) -> None:
    def told(**changes: str) -> tuple[int, dict[str, str]]:
        (empty.folder / "hypereal.toml").write_text(storage_section(s3_server, **changes))
        done = empty.run("doctor", "--json")
        assert "Traceback" not in done.stderr
        (found,) = (check for check in json.loads(done.stdout)["checks"] if check["check"] == "storage")
        return done.returncode, found

    assert told()[1] == {"check": "storage", "state": "ok", "text": "the bucket takes, gives and deletes files"}
    for changes, mend in (
        ({"secret_access_key": "wrong"}, "check [storage] secret_access_key"),
        ({"url": s3_server.url.replace(BUCKET, "missing")}, "there is no bucket missing"),
        ({"url": f"s3://{BUCKET}?endpoint=http://127.0.0.1:9"}, "check the endpoint"),
    ):
        code, found = told(**changes)
        assert (code, found["state"]) == (1, "error")
        assert mend in found["text"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('url = "s3://b?endpoint=http://h:99999"', "storage.url: its endpoint is no http or https address"),
        ('url = "https://b"', "storage.url: not like s3://"),
        ('access_key_id = ""', "storage: a bucket needs access_key_id"),
    ],
)
def test_a_wrong_storage_setting_is_named_at_start(
    empty: Installation, s3_server: S3Server, lines: str, why: str
) -> None:
    name = lines.partition(" ")[0]
    kept = [line for line in storage_section(s3_server).splitlines() if not line.startswith(name)]
    (empty.folder / "hypereal.toml").write_text("\n".join([*kept, lines]))
    for command in ("serve", "doctor"):
        done = empty.run(command)
        assert done.returncode == 1
        assert why in " ".join((done.stdout + done.stderr).split())
        assert "Traceback" not in done.stderr
