"""Rows of settled calls come without what is 0, and are written without asking first whether they are there."""

from alembic import op

revision = "0012"
down_revision = "0011"

BLANK = """
CREATE FUNCTION usage_blank() RETURNS usage LANGUAGE sql STABLE AS $$
    SELECT json_populate_record(NULL::usage, '{
        "input_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0, "cache_write_1h_tokens": 0,
        "output_tokens": 0, "reasoning_tokens": 0, "web_searches": 0, "is_estimated": false, "written_off": 0
    }')
$$
"""

# A batch is applied once, by its position: a row that is there already is a fault, after which the process sends the
# batch again carefully, row by row.
PATCHES = [
    (
        "ledger_flush",
        """
                INSERT INTO usage SELECT * FROM json_populate_recordset(NULL::usage, p_records)
                ON CONFLICT DO NOTHING
""",
        """
                INSERT INTO usage SELECT * FROM json_populate_recordset(usage_blank(), p_records)
""",
    ),
    ("ledger_log_each", "json_populate_record(NULL::usage, v_record)", "json_populate_record(usage_blank(), v_record)"),
    (
        "ledger_charge_late",
        "json_populate_record(NULL::usage, v_record)",
        "json_populate_record(usage_blank(), v_record)",
    ),
]

PATCH = """
DO $patch$
DECLARE
    v_before text := pg_get_functiondef('{function}'::regproc);
    v_after text := replace(v_before, '{former}', '{new}');
BEGIN
    ASSERT v_after <> v_before, '{function} is not as it was left';
    EXECUTE v_after;
END $patch$
"""


def upgrade() -> None:
    """Three functions change in one place each."""
    op.execute(BLANK)
    for function, former, new in PATCHES:
        op.execute(PATCH.format(function=function, former=former, new=new))
