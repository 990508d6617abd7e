"""What a caller is told of each cause."""

import pytest

from hypereal.gateway.refusals import as_error
from hypereal.kit.errors import NotFound
from hypereal.net import Malformed, UpstreamLost


@pytest.mark.parametrize(
    ("cause", "status", "kind"),
    [
        (NotFound("x"), 404, "not_found_error"),
        (Malformed(413, "too long"), 413, "request_too_large"),
        (Malformed(431, "too long"), 431, "invalid_request_error"),
        (Malformed(400, "bad"), 400, "invalid_request_error"),
        (UpstreamLost("10.0.0.1 closed"), 502, "api_error"),
        (UpstreamLost("silent", is_timeout=True), 504, "timeout_error"),
    ],
)
def test_every_cause_has_one_error(cause, status, kind):
    error = as_error(cause)
    assert (error.status, error.type) == (status, kind)
    assert "10.0.0.1" not in error.message
