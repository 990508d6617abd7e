"""A server of their own for tests that break its upstreams: a model for each case, so that no breaker is shared."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.contract.gateway.fault_table import CASES
from tests.contract.gateway.formats import FORMATS, PRICE
from tests.support import server as servers
from tests.support.background import Background
from tests.support.server import UPSTREAM_KEY, Server
from tests.support.upstream import Upstream

KEYS = [f"sk-{number}-0123456789abcdef" for number in range(3)]
DIALECTS = 'dialects = ["openai_chat", "openai_responses", "anthropic_messages", "gemini"]'
PROVIDERS = {
    "first": f'timeout_s = 30\napi_key = "{UPSTREAM_KEY}"',
    "second": f'timeout_s = 30\napi_key = "{UPSTREAM_KEY}"',
    "slow": f'timeout_s = 1\napi_key = "{UPSTREAM_KEY}"',
    "keyed": f"timeout_s = 30\napi_keys = {json.dumps(KEYS)}",
    "limited": f"timeout_s = 30\napi_keys = {json.dumps(KEYS)}",
    "refused": f"timeout_s = 30\napi_keys = {json.dumps(KEYS)}",
}
MODELS = {
    "keyed": ["keyed:up-keyed", "second:up-keyed-2"],
    "limited": ["limited:up-limited", "second:up-limited-2"],
    "refused": ["refused:up-refused", "second:up-refused-2"],
    "breaking": ["first:up-breaking", "second:up-breaking-2"],
    "leaving": ["first:up-leaving", "second:up-leaving-2"],
    "deaf": ["deaf:up-deaf"],
    "endless": [f"slow:up-endless-{number}" for number in range(6)],
    **{f"late-{one.name}": [f"first:up-late-{one.name}", f"second:up-late-{one.name}-2"] for one in FORMATS},
    **{f"lost-{one.name}": [f"first:up-lost-{one.name}"] for one in FORMATS},
    **{f"blamed-{one.name}": [f"first:up-blamed-{one.name}"] for one in FORMATS},
    "countless": ["first:up-countless", "second:up-countless-2"],
}


@dataclass
class Bench:
    """The server, and the upstream of all its providers. Scripts wait by the name of the model at the target."""

    server: Server
    upstream: Upstream


@pytest.fixture(scope="session")
def bench(background: Background) -> Iterator[Bench]:
    """Shared by the files about faults: each call has a model of its own."""
    upstream = Upstream(background)
    server = Server(background, {}, _config(upstream))
    yield Bench(server, upstream)
    upstream.reset()
    servers.assert_ended_well(server)
    upstream.close()


def _config(upstream: Upstream) -> str:
    tables = ["[server]\nlog_level = 'debug'\n[limits]\nrequests_per_minute = 100000"]
    for name, more in PROVIDERS.items():
        tables.append(f'[providers.{name}]\n{DIALECTS}\nbase_url = "{upstream.url}/{name}/v1"\n{more}')
    tables.append(f'[providers.closed]\n{DIALECTS}\nbase_url = "http://127.0.0.1:9/v1"\napi_key = "{UPSTREAM_KEY}"')
    deaf = upstream.url.replace("http", "https")  # it waits for what a TLS handshake never sends
    tables.append(f'[providers.deaf]\n{DIALECTS}\nbase_url = "{deaf}/v1"\ntimeout_s = 1\napi_key = "{UPSTREAM_KEY}"')
    for model, targets in {**MODELS, **{case.model: case.targets for case in CASES}}.items():
        tables.append(f'[models."{model}"]\ntargets = {json.dumps(targets)}\nprice = {PRICE}')
    return "\n\n".join(tables)
