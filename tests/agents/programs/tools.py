"""The two tools that our programs give to an SDK's agent. The SDKs read signatures and docstrings."""

import subprocess
from pathlib import Path

COMMAND_S_MAX = 10


def write_file(file_path: str, content: str) -> str:
    """Write content to a file."""
    Path(file_path).write_text(content, "utf-8")
    return f"Wrote {file_path}."


def run_command(command: str) -> str:
    """Run a shell command and return what it printed."""
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=COMMAND_S_MAX)
    return done.stdout or "Done."
