"""One way's requests closed for a cloud: what is signed is what is sent."""

import ssl
from pathlib import Path

from tests.support.clouds import is_signed
from tests.support.upstream import Recorded

from hypereal import catalog, providers
from hypereal.gateway.routing import Pools, Routing, Way
from hypereal.kit import clock
from hypereal.kit.dialects import Dialect
from hypereal.wire import DIALECTS

MESSAGES = Dialect.ANTHROPIC_MESSAGES
BODY = b'{"model":"claude-opus-4-6","messages":[],"max_tokens":1,"x":1.0}'
FORWARDED = b"anthropic-beta: effort-2025-11-24,unknown\r\nsession-id: s\r\n"


def way(**tables: dict[str, object]) -> Way:
    known = providers.load(tables, {}, Path("/run/local.sock"))
    models = catalog.load({}, {name: frozenset(row.base_urls) for name, row in known.items()})
    routes = Routing(known, Pools(ssl.create_default_context()))
    (found,) = routes.ways(models.models["claude-opus-4-6"], MESSAGES)
    return found


def closed(one: Way) -> tuple[bytes, bytes]:
    assert one.seal is not None
    return one.seal.close(DIALECTS[MESSAGES].read(BODY), FORWARDED, False)


def test_what_is_signed_is_what_is_sent() -> None:
    one = way(bedrock={"region": "eu-west-1", "access_key_id": "AKID", "secret_access_key": "s"})
    _, head = one.line(stream=False, counts_tokens=False, key_number=0)
    body, lines = closed(one)
    assert is_signed(Recorded(b"%s%d\r\n%s\r\n" % (head, len(body), lines), body), {"AKID": "s"})
    assert body.endswith(b'"anthropic_beta":["effort-2025-11-24"]}')
    assert b"session-id" not in lines


def test_every_request_is_signed_for_its_own_moment(monkeypatch) -> None:
    one = way(bedrock={"region": "eu-west-1", "access_key_id": "AKID", "secret_access_key": "s"})
    monkeypatch.setattr(clock.coarse, "unix_s", 1_767_225_600.0)
    _, first = closed(one)
    monkeypatch.setattr(clock.coarse, "unix_s", 1_767_225_601.0)
    _, second = closed(one)
    assert b"x-amz-date: 20260101T000000Z" in first
    assert first != second


def test_a_key_needs_no_signature() -> None:
    one = way(bedrock={"region": "eu-west-1", "api_key": "ABSK"})
    body, lines = closed(one)
    assert lines == b""
    assert b'"model"' not in body
    assert one.seal is not None
    assert one.seal.is_ready


def test_a_signed_provider_may_want_no_envelope() -> None:
    acme = {"region": "r-1", "access_key_id": "AKID", "secret_access_key": "s", "auth": "aws_sigv4"}
    table = {"dialects": ["anthropic_messages"], "base_url": "https://acme.example"}
    known = providers.load({"anthropic": {**table, **acme}}, {}, Path("/run/local.sock"))
    models = catalog.load({}, {name: frozenset(row.base_urls) for name, row in known.items()})
    (one,) = Routing(known, Pools(ssl.create_default_context())).ways(models.models["claude-opus-4-6"], MESSAGES)
    body, lines = closed(one)
    assert body == BODY
    assert lines.startswith(FORWARDED + b"x-amz-date: ")
