"""What the data processes write about themselves once a second, read again: for `/metrics` and `hypereal status`."""

from pathlib import Path

import msgspec

from hypereal.gateway import Snapshot
from hypereal.kit import clock

SNAPSHOT_AGE_S_MAX = 10.0
SNAPSHOT_BYTES_MAX = 16 * 1024 * 1024


def read_snapshots(run_dir: Path) -> list[Snapshot]:
    """What the data processes last wrote, without those that write no more."""
    found = []
    for path in sorted(run_dir.glob("metrics-*.json")):
        try:
            if path.stat().st_size > SNAPSHOT_BYTES_MAX:
                continue
            snapshot = msgspec.json.decode(path.read_bytes(), type=Snapshot)
        except (OSError, msgspec.MsgspecError):
            continue
        if clock.utc_now().timestamp() - snapshot.at_unix_s <= SNAPSHOT_AGE_S_MAX:
            found.append(snapshot)
    return found
