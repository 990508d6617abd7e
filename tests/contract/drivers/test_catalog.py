"""Every model of media in the built-in catalog against the drivers: each of its targets can be asked for it."""

from pathlib import Path

import pytest
from tests.contract.drivers.samples import IMAGE, LINK, SOUND

from hypereal import catalog, providers
from hypereal.providers.drivers import DRIVERS, Driver, Kind, Takes, Work

ROWS = providers.load({}, {}, Path("/run/local.sock"))
MODELS = catalog.load({}, {name: frozenset(row.base_urls) for name, row in ROWS.items()}).models
MADE = {
    catalog.Kind.IMAGE: (Kind.IMAGE, Kind.IMAGE_EDIT),
    catalog.Kind.VIDEO: (Kind.VIDEO,),
    catalog.Kind.AUDIO: (Kind.SPEECH, Kind.CLONE, Kind.TRANSCRIPT),
}
TARGETS = [
    (model.id, spec.provider, spec.model, kind)
    for model in MODELS.values()
    for spec in model.targets
    for kind in MADE.get(model.kind, ())
]


def is_asked(driver: Driver, work: Work) -> bool:
    try:
        driver.submit(work)
    except ValueError:
        return False
    return True


def works(kind: Kind, model: str, takes: Takes) -> list[Work]:
    """From words, and from one image; a model of either sort takes one of them."""
    image = IMAGE if takes is Takes.BODY else LINK
    asked = Work(
        kind=kind,
        model=model,
        prompt="a cat",
        text="Hello.",
        voice="voice-1",
        audio=SOUND,
        aspect_ratio="16:9",
        duration_s=5 if kind is Kind.VIDEO else None,
        references=(image,) if kind is Kind.IMAGE_EDIT else (),
    )
    of_image = Work(kind=kind, model=model, prompt="a cat", references=(image,), duration_s=5)
    return [asked, of_image] if kind is Kind.VIDEO else [asked]


def test_every_model_of_pictures_has_a_target() -> None:
    pictures = (catalog.Kind.IMAGE, catalog.Kind.VIDEO)
    assert not [model.id for model in MODELS.values() if model.kind in pictures and not model.targets]


@pytest.mark.parametrize(("model_id", "provider", "model", "kind"), TARGETS)
def test_a_target_can_be_asked_for_what_its_driver_makes_of_it(
    model_id: str, provider: str, model: str, kind: Kind
) -> None:
    driver = DRIVERS[ROWS[provider].driver or ""]
    route = driver.route(Work(kind=kind, model=model))
    if route is None:
        assert kind in (Kind.IMAGE_EDIT, Kind.SPEECH, Kind.CLONE, Kind.TRANSCRIPT), "it makes nothing of it"
        return
    assert any(is_asked(driver, work) for work in works(kind, model, route.takes))
