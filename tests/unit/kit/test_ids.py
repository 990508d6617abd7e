"""Request ids: one shape, never the same twice."""

import re
from itertools import islice

from hypereal.kit.ids import _request_ids, new_request_id


def test_request_ids_have_one_shape_and_none_comes_twice() -> None:
    ids = [new_request_id() for _ in range(3 * 16**3)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", one) for one in ids)


def test_two_processes_share_no_request_id() -> None:
    ours, theirs = (set(islice(_request_ids(), 5000)) for _ in range(2))
    assert not ours & theirs
