"""Stored objects: uploads, outputs of jobs, and signed links to them; on this host's disk or in any S3.

`open_storage` makes the one `Storage` of a process; jobs copy what they made in with `store_output`. Start at
`storage.py`. The routes are in `routes.py`, the schedule in `worker.py`.
"""

from hypereal.storage.faults import BucketAway, StorageFull
from hypereal.storage.links import Links
from hypereal.storage.objects import Kind, StoredObject, Sums
from hypereal.storage.opening import OBJECTS, open_bucket, open_storage, probe
from hypereal.storage.outputs import Copy, store_output
from hypereal.storage.storage import NewObject, Storage

__all__ = [
    "OBJECTS",
    "BucketAway",
    "Copy",
    "Kind",
    "Links",
    "NewObject",
    "Storage",
    "StorageFull",
    "StoredObject",
    "Sums",
    "open_bucket",
    "open_storage",
    "probe",
    "store_output",
]
