"""What is kept of a media job: the job as its owner sees it, what was asked for, and its parts at vendors."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import asyncpg
import msgspec

from hypereal.catalog import Unit
from hypereal.kit.ids import AccountId, JobId, KeyId, ObjectId
from hypereal.kit.money import Micro
from hypereal.providers.drivers import Fault, Task
from hypereal.providers.drivers import Kind as WorkKind

Value = TypeVar("Value")


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    """No vendor has it."""
    SUBMITTING = "submitting"
    """A vendor is being asked, or was when a worker died."""
    RUNNING = "running"
    COPYING = "copying"
    """It is made, and comes into our storage."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})


class PartState(StrEnum):
    """Where one task at a vendor is."""

    ASKING = "asking"
    """The vendor is asked; what it said is not known yet."""
    RUNNING = "running"
    MADE = "made"
    FAILED = "failed"


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asked for, once its model's rules have passed it."""

    kind: WorkKind
    prompt: str = ""
    size: tuple[int, int] | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    quality: str | None = None
    duration_s: int | None = None
    references: tuple[str, ...] = ()
    """https or data URLs."""
    mask: str | None = None
    last_image: str | None = None
    format: str | None = None
    seed: int | None = None
    extra: Mapping[str, Any] = {}
    text: str = ""
    voices: Mapping[str, str] = {}
    """Of the voice that is wanted: its id at each provider that has it."""
    audio: str | None = None
    """A data URL."""
    language: str | None = None


class Made(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One output: in our storage once it has an object, until then at its vendor's."""

    object_id: ObjectId | None = None
    filename: str = ""
    content_type: str = ""
    url: str = ""
    needs_credential: bool = False
    is_gone: bool = False
    """The vendor gives it no more."""
    revised_prompt: str | None = None
    seconds: float | None = None
    """How long speech lasts, where that is what it is paid by."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a job failed, as its owner is told."""

    type: str
    message: str
    status: int
    """What a caller who waits for it gets."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A target that failed: for the request log."""

    target: str
    status: int
    """What its fault stands for."""
    ms: int = 0


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The request that made the job, for its row in the request log; and where it wants to be told of the end."""

    request_id: str
    endpoint: str
    client: str = ""
    app: str | None = None
    end_user: str | None = None
    metadata: dict[str, str] | None = None
    tried: tuple[Attempt, ...] = ()
    webhook_url: str | None = None


class MediaJob(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table, but for what was asked."""

    id: JobId
    owner_id: AccountId
    key_id: KeyId
    kind: str
    model: str
    state: State
    targets: tuple[str, ...]
    """'provider:model'; what it was asked of last is number `target`."""
    target: int
    round: int
    """How often all targets were asked."""
    queue_id: JobId
    per: Unit
    n: int
    """How many outputs."""
    units: int
    unit_price: Micro
    price_version: str
    cost: Micro | None
    """Once it is final."""
    outputs: tuple[Made, ...]
    error: Problem | None
    progress: float | None
    waiting: str | None
    is_cancel_asked: bool
    request: Origin
    created_at: datetime
    begun_at: datetime | None
    """When the vendor began with it, as far as it told."""
    deadline_at: datetime
    finished_at: datetime | None

    @property
    def is_final(self) -> bool:
        """Nothing changes any more."""
        return self.state in FINAL

    @property
    def held(self) -> Micro:
        """What is held for it, and the most that it can cost."""
        return Micro(self.units * self.unit_price)

    @property
    def seconds(self) -> int | None:
        """How long what it makes lasts, where that is what is paid for."""
        return self.units // self.n if self.per is Unit.SECOND else None

    @property
    def target_name(self) -> str:
        """'provider:model' that it is with."""
        return self.targets[min(self.target, len(self.targets) - 1)]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One task at one vendor: a job has several where a vendor makes only one thing at once."""

    number: int
    """Never used again within the job: with it the vendor knows a request that is sent again."""
    target: str
    n: int
    state: PartState = PartState.ASKING
    key_number: int = 0
    """Of the provider's keys, the one that it was begun with."""
    task: Task | None = None
    outputs: tuple[Made, ...] = ()
    fault: Fault | None = None


JOB_FIELDS = MediaJob.__struct_fields__
_OF_JSON: Mapping[str, msgspec.json.Decoder[Any]] = {
    "outputs": msgspec.json.Decoder(tuple[Made, ...]),
    "error": msgspec.json.Decoder(Problem),
    "request": msgspec.json.Decoder(Origin),
    "task": msgspec.json.Decoder(Task),
    "fault": msgspec.json.Decoder(Fault),
}


def job_of(row: asyncpg.Record) -> MediaJob:
    """A row of `media_jobs`."""
    facts = {name: _decoded(name, row[name]) for name in JOB_FIELDS}
    facts |= {"state": State(facts["state"]), "targets": tuple(facts["targets"]), "per": Unit(facts["per"])}
    return MediaJob(**facts)


def part_of(row: asyncpg.Record) -> Part:
    """A row of `media_parts`."""
    facts = {name: _decoded(name, row[name]) for name in Part.__struct_fields__}
    return Part(**facts | {"state": PartState(facts["state"])})


def json_of(value: object) -> str | None:
    """VALUE for a column; None where there is none."""
    return None if value is None else msgspec.json.encode(value).decode()


def _decoded(name: str, value: Any) -> Any:
    return _OF_JSON[name].decode(value) if name in _OF_JSON and value is not None else value
