"""Scripted vendors of media: each speaks its documented wire over real HTTP on loopback, and fails as is wanted.

    vendor = MediaVendor(background, "kling")           # or several: one of each, on a port of its own
    env = vendor.environ                                # KLING_BASE_URL and the key, for a server under test
    vendor.plan(["queued", ("running", 0.5), "done"])   # of the next task; `vendor.usual` of those without a plan
    vendor.break_next("submit", "rate")                 # also "poll", "result", "cancel", "file"; see `BREAKS`
    vendor.tasks                                        # what was begun: requests, polls, cancelled or not
    vendor.requests                                     # every request, byte for byte
    vendor.files["/files/task-1.mp4"] = (type, bytes)   # instead of the small file that each output is

`callbacks.py` makes the calls that vendors make to us, signed. A request without the right credential is refused, as is
one that lacks what the vendor's documents ask for. By hand: `python -m tests.support.media_vendors kling --port 9001`.
"""

from tests.support.media_vendors.vendor import BREAKS, WIRES, MediaVendor
from tests.support.media_vendors.vendor_files import MP3, MP4, PNG

__all__ = ["BREAKS", "MP3", "MP4", "PNG", "WIRES", "MediaVendor"]
