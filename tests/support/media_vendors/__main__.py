"""A scripted vendor by hand: serves until interrupted, and shows each request."""

import argparse
import contextlib
import itertools
import sys

from tests.support.background import Background
from tests.support.media_vendors import WIRES, MediaVendor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("name", choices=sorted(WIRES))
parser.add_argument("--port", type=int, default=9001)
arguments = parser.parse_args()
background = Background()
vendor = MediaVendor(background, arguments.name, arguments.port)
sys.stdout.write("".join(f"{name}={value}\n" for name, value in vendor.environ.items()))
with contextlib.suppress(KeyboardInterrupt):
    for number in itertools.count():
        recorded = vendor.request(number, timeout_s=None)
        sys.stdout.write(f"{recorded.head.splitlines()[0].decode()}\n{recorded.body[:2000]!r}\n\n")
        sys.stdout.flush()
background.close()
