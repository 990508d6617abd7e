"""The one way to fetch from, or post to, a URL that a caller gave. Start at `outbound.py`.

A URL is read strictly (`urls.py`), its name resolved once, every address checked (`addresses.py`), and the connection
made to what was checked (`network.py`); the same again at each redirect. Size, time and type have bounds (`bodies.py`).
"""

from hypereal.kit.outbound.addresses import Allowed, read_allowed
from hypereal.kit.outbound.network import Resolve, system_resolve
from hypereal.kit.outbound.outbound import Fetched, Incoming, Outbound, Posted, Wanted

__all__ = [
    "Allowed",
    "Fetched",
    "Incoming",
    "Outbound",
    "Posted",
    "Resolve",
    "Wanted",
    "read_allowed",
    "system_resolve",
]
