"""Background jobs as an operator sees them."""

from typing import Any

from tests.e2e.cli.conftest import Installation, wait_until

SWEEP = "schedule/conversations.sweep"


def jobs_of(installation: Installation, *options: str) -> dict[str, dict[str, Any]]:
    return {job["id"]: job for job in installation.json("queue", "list", *options)["jobs"]}


def test_status_and_metrics_tell_what_is_queued(serving: Installation) -> None:
    queue = {depth["kind"]: depth for depth in serving.json("status")["queue"]}
    depth = queue["conversations.sweep"]
    assert depth["waiting"] + depth["running"] + depth["due"] == 1
    assert "conversations.sweep" in serving.run("status").stdout
    told = serving.get("/metrics")
    assert 'hypereal_jobs{kind="jobs.sweep",state="failed"} 0.0' in told
    assert 'hypereal_jobs_oldest_due_seconds{kind="jobs.sweep"}' in told


def test_a_job_can_be_looked_at_run_now_and_cancelled(serving: Installation) -> None:
    before = jobs_of(serving, "--kind", "conversations.sweep")[SWEEP]
    assert serving.json("queue", "retry", SWEEP) == {"id": SWEEP, "queued": True}
    wait_until(
        lambda: serving.json("queue", "show", SWEEP)["due_at"] > before["due_at"], 20, "it ran, and is planned anew"
    )
    assert serving.json("queue", "cancel", SWEEP) == {"id": SWEEP, "cancelled": True}
    assert SWEEP in jobs_of(serving, "--state", "cancelled")
    assert "is cancelled already" in serving.run("queue", "cancel", SWEEP).stderr
    serving.json("queue", "retry", SWEEP)
    assert serving.run("queue", "show", "job_none").returncode == 1


def test_a_server_without_jobs_leaves_them_to_a_worker(empty: Installation) -> None:
    empty.start("OPENAI_BASE_URL", "--no-jobs")
    try:
        assert jobs_of(empty) == {}
        with empty.working():
            wait_until(lambda: SWEEP in jobs_of(empty), 30, "the worker plans the schedules")
    finally:
        empty.stop()
