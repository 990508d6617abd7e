"""Usage rows as JSON."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger import USAGE, Caller, usage_row

from hypereal.kit.ids import AccountId, PoolId
from hypereal.kit.usage import Usage
from hypereal.ledger import rows

ADA = Caller(owner_id=AccountId("acc_ada"))


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 10**15), st.integers(0, 10**15))
def test_row_is_one_object_without_nul(text: str, charged: int, written_off: int) -> None:
    begun = rows.facts(usage_row(ADA, client=text), USAGE)
    document = rows.document([rows.record(begun, charged + written_off, charged)] * 2)
    first, second = msgspec.json.decode(document)
    assert first == second
    assert first["client"] == text.replace("\0", "\ufffd")
    assert first["output_tokens"] == USAGE.output_tokens
    assert (first["cost"], first["charged"]) == (charged + written_off, charged)
    assert first.get("written_off", 0) == written_off


def test_counts_of_nothing_are_left_out() -> None:
    refused = msgspec.json.decode(rows.record(rows.facts(usage_row(ADA), Usage()), 0, 0))
    assert {"cost", "charged"} == refused.keys() & {*Usage.__struct_fields__, "cost", "charged", "written_off"}


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.booleans(), st.booleans())
def test_record_is_read_as_it_was_written(charged: int, written_off: int, has_limit: bool, is_late: bool) -> None:
    month = PoolId("key_1/2026-11") if has_limit else None
    record = rows.record(rows.facts(usage_row(ADA), USAGE), charged + written_off, charged, month)
    settled = rows.read(rows.late(record) if is_late else record)
    assert (settled.cost, settled.charged, settled.is_late) == (charged + written_off, charged, is_late)
    assert settled.pools == (("acc_ada", "key_1/2026-11") if has_limit else ("acc_ada",))


def test_months_are_named_as_the_database_reads_them() -> None:
    document = rows.limits_document([("key_1/2026-11", AccountId("acc_ada"), 5)])
    assert msgspec.json.decode(document) == [{"id": "key_1/2026-11", "owner_id": "acc_ada", "funded": 5}]
