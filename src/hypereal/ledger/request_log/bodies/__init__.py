"""What calls ask and are answered, for keys that want it kept: heard of by data processes, redacted, encrypted, shown.

A data process only sends bytes (`Recorded`). The control process does the rest (`Receiver`), so that no stream waits
for it. Start at `bodies.py`.
"""

from hypereal.ledger.request_log.bodies.bodies import Bodies, Kept
from hypereal.ledger.request_log.bodies.receiver import Receiver
from hypereal.ledger.request_log.bodies.recorded import PART_BYTES_MAX, Recorded, frame_of

__all__ = ["PART_BYTES_MAX", "Bodies", "Kept", "Receiver", "Recorded", "frame_of"]
