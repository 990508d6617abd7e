"""The table: every client in every way it is set up, from the modules in `clients/`."""

from tests.agents.clients import claude_code, codex, gemini_cli, opencode, sdks
from tests.agents.running import Row

ROWS: list[Row] = [*claude_code.ROWS, *codex.ROWS, *gemini_cli.ROWS, *opencode.ROWS, *sdks.ROWS]

AGENTS_ARE_BRIDGED = True
"""Whether tools get through where the upstream speaks another dialect than the client. While they do not, such rows are
run and must fail; when they do, this is the one place to say so."""
