"""Usage rows as JSON."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import FieldInfo, asdict
from tests.support.ledger import USAGE, Caller, usage_row

from hypereal.kit.ids import AccountId, PoolId
from hypereal.kit.usage import Usage
from hypereal.ledger import Asked, Asker, Details, UsageRow, rows

ADA = Caller(owner_id=AccountId("acc_ada"))


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 10**15), st.integers(0, 10**15))
def test_row_is_one_object_without_nul(text: str, charged: int, written_off: int) -> None:
    row = usage_row(ADA, client=text)
    document = rows.document([rows.record(row, USAGE, charged + written_off, charged)] * 2)
    first, second = msgspec.json.decode(document)
    assert first == second
    assert first["client"] == text.replace("\0", "\ufffd")
    assert first["output_tokens"] == USAGE.output_tokens
    assert (first["cost"], first["charged"]) == (charged + written_off, charged)
    assert first.get("written_off", 0) == written_off


TEXT = st.text(st.characters(codec="utf-8"))
MAYBE = st.none() | TEXT
COUNTS = [name for name in Usage.__struct_fields__ if name != "is_estimated"]


@given(
    asker=st.builds(Asker, owner_id=TEXT, key_id=TEXT, endpoint=TEXT, client=TEXT, app=MAYBE),
    asked=st.builds(Asked, dialect=TEXT, model=TEXT, provider=MAYBE, target=MAYBE, price_version=MAYBE),
    own=st.builds(Details, end_user=MAYBE, upstream_id=MAYBE, metadata=st.none() | st.dictionaries(TEXT, TEXT)),
    usage=st.builds(Usage, is_estimated=st.booleans(), **dict.fromkeys(COUNTS, st.integers(0, 10**9))),
    charged=st.integers(0, 10**15),
    written_off=st.integers(0, 10**15),
    month=MAYBE,
)
def test_record_says_all_that_it_was_told(
    asker: Asker, asked: Asked, own: Details, usage: Usage, charged: int, written_off: int, month: PoolId | None
) -> None:
    record = rows.record(UsageRow.of(asker, asked, own), usage, charged + written_off, charged, month)
    pairs = json.loads(record, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names))
    defaults = {name: field.default for part in (asker, asked, own) for name, field in fields_of(part)}
    money = {"cost": charged + written_off, "charged": charged, "written_off": written_off, "month": month}
    told = asdict(asker) | asdict(asked) | asdict(own) | asdict(usage) | money
    said = {name: value for name, value in told.items() if value != defaults.get(name)}
    assert msgspec.json.decode(record) == msgspec.to_builtins(said)


def fields_of(part: msgspec.Struct) -> list[tuple[str, FieldInfo]]:
    return [(field.name, field) for field in msgspec.structs.fields(part)]


def test_a_stem_is_of_one_thing_until_it_becomes_anothers() -> None:
    stem, one, other = rows.Stem(), object(), object()
    assert stem.of is not None, "calls without a price have one too"
    for of, model in ((one, "m1"), (other, "m2"), (None, "m3")):
        said = stem.become(of, Asked(dialect="d", model=model))
        assert (stem.of, stem.encoded) == (of, said)
        assert model.encode() in said


def test_counts_of_nothing_are_left_out() -> None:
    refused = msgspec.json.decode(rows.record(usage_row(ADA), Usage(), 0, 0))
    assert {"cost", "charged"} == refused.keys() & {*Usage.__struct_fields__, "cost", "charged", "written_off"}


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.booleans(), st.booleans())
def test_record_is_read_as_it_was_written(charged: int, written_off: int, has_limit: bool, is_late: bool) -> None:
    month = PoolId("key_1/2026-11") if has_limit else None
    record = rows.record(usage_row(ADA), USAGE, charged + written_off, charged, month)
    settled = rows.read(rows.late(record) if is_late else record)
    assert (settled.cost, settled.charged, settled.is_late) == (charged + written_off, charged, is_late)
    assert settled.pools == (("acc_ada", "key_1/2026-11") if has_limit else ("acc_ada",))


def test_months_are_named_as_the_database_reads_them() -> None:
    document = rows.limits_document([("key_1/2026-11", AccountId("acc_ada"), 5)])
    assert msgspec.json.decode(document) == [{"id": "key_1/2026-11", "owner_id": "acc_ada", "funded": 5}]
