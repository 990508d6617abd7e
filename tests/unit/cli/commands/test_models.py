from pathlib import Path

from hypereal.cli import offer
from hypereal.cli.commands.models import problems
from hypereal.kit.settings import Server, Settings

SERVER = Server(data_dir=Path("/data"))
ACME = {"dialects": ["anthropic_messages"], "base_url": "https://acme.example", "api_key": "k"}


def found(model: dict[str, object]) -> list[str]:
    errors, _ = problems(offer.load(Settings(server=SERVER, providers={"acme": ACME}, models={"mine": model})))
    return errors


def test_the_built_in_models_have_no_errors() -> None:
    assert problems(offer.load(Settings(server=SERVER)))[0] == []


def test_a_model_without_a_price_is_an_error() -> None:
    (error,) = found({"targets": ["acme:x"], "aliases": ["also-mine"]})
    assert error == 'models."mine": has no price, so nobody can call it (mine, also-mine)'


def test_a_model_whose_targets_speak_none_of_its_formats_is_an_error() -> None:
    price = {"input": 1, "output": 1}
    (error,) = found({"targets": ["acme:x"], "endpoints": ["openai_chat"], "price": price})
    assert "none of its targets speaks a format" in error


def test_a_target_of_media_that_nothing_there_makes_is_an_error() -> None:
    price = {"per": "image", "credits": 1}
    assert (
        found({"kind": "image", "targets": ["bfl:flux-2-pro", "google:gemini-3-pro-image"], "media_price": price}) == []
    )
    for target in ("acme:x", "bfl:flux-2-pro", "google:gemini-3-pro-image"):
        (error,) = found(
            {"kind": "video", "endpoints": [], "targets": [target], "media_price": {"per": "clip", "credits": 1}}
        )
        assert error == f'models."mine": {target}: no driver makes video of that there'


def test_a_missing_credential_is_a_note() -> None:
    _, notes = problems(
        offer.load(Settings(server=SERVER, providers={"openai": {"api_key": {"env": "NO_SUCH_VARIABLE"}}}))
    )
    assert any(note.startswith("openai has no credential") for note in notes)
