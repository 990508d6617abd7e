from pathlib import Path

import pytest

from hypereal.cli import offer
from hypereal.kit.settings import BadSettings, Server, Settings


def test_a_target_is_usable_once_its_provider_has_a_credential() -> None:
    offered = offer.load(
        Settings(
            server=Server(data_dir=Path("/data")),
            providers={"acme": {"dialects": ["openai_chat"], "base_url": "https://acme.example/v1", "api_key": "k"}},
            models={"m": {"targets": ["acme:a", "xai:b"], "price": {"input": 1, "output": 1}}},
        )
    )
    assert "acme" in [provider.name for provider in offered.real]
    assert "local" not in [provider.name for provider in offered.real]
    assert "acme:a" in offered.usable_targets(offered.catalog.models["m"])


def test_a_driver_that_is_not_there_is_refused_before_anything_is_sent() -> None:
    table = {"base_url": "https://acme.example", "driver": "acmee", "api_key": "k"}
    with pytest.raises(BadSettings, match=r"providers\.acme: driver: there is no 'acmee'; there are ark, bfl"):
        offer.load(Settings(server=Server(data_dir=Path("/data")), providers={"acme": table}))
