"""CSV that any reader reads back, and no spreadsheet computes."""

import csv
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger import Caller, usage_row

from hypereal.kit.ids import AccountId
from hypereal.ledger import Asked, Asker
from hypereal.ledger.request_log import sheet


def row(**changes: Any) -> dict[str, Any]:
    made = usage_row(Caller(owner_id=AccountId("acc_ada")))
    shared = {name: None for part in (Asker, Asked) for name in part.__struct_fields__}
    facts = shared | msgspec.json.decode(made.shared[:-1] + b"}") | msgspec.structs.asdict(made.details)
    counts = dict.fromkeys((name for name in sheet.COLUMNS if "tokens" in name or name == "web_searches"), 7)
    return facts | counts | {"is_estimated": False, "charged": 1_500_000} | changes


def read(written: bytes) -> list[list[str]]:
    assert written.count(b"\n") == written.count(b"\r\n")
    return list(csv.reader(io.StringIO(written.decode(), newline=""), strict=True))


def test_a_line_has_a_cell_for_each_column():
    (head,), (cells,) = read(sheet.head()), read(sheet.lines([row(app="x")]))
    told = dict(zip(head, cells, strict=True))
    assert (told["credits"], told["app"], told["input_tokens"], told["stream"]) == ("1.5", "x", "7", "false")
    assert (told["first_byte_ms"], told["error_type"], told["cache_saved_credits"]) == ("", "", "0")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
@pytest.mark.parametrize("column", ["model", "end_user", "app", "client", "metadata", "error_type"])
def test_no_cell_of_a_callers_is_a_formula(text, column):
    (cells,) = list(csv.reader(io.StringIO(sheet.lines([row(**{column: text})]).decode(), newline="")))
    assert f"'{text}" in cells
    assert not [cell for cell in cells if cell.startswith(sheet.FORMULA)]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n")), min_size=1, max_size=5))
def test_any_text_comes_back(texts):
    read_back = read(sheet.lines(row(client=text) for text in texts))
    place = sheet.COLUMNS.index("client")
    assert [cells[place].removeprefix("'") for cells in read_back] == [text.removeprefix("'") for text in texts]
