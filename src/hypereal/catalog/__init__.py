"""Which models exist, what they are called, where they are sent and what they cost.

Read `model.py` first; the models themselves are tables in `models/`.
"""

from hypereal.catalog.catalog import ROUTES, Catalog
from hypereal.catalog.loading import load
from hypereal.catalog.model import INTENTS, Kind, MediaPrice, Model, TargetSpec, Unit
from hypereal.catalog.price import LongContext, Price, Rates, price_of, surcharged, worst_case
from hypereal.catalog.surcharges import Surcharge, surcharges

__all__ = [
    "INTENTS",
    "ROUTES",
    "Catalog",
    "Kind",
    "LongContext",
    "MediaPrice",
    "Model",
    "Price",
    "Rates",
    "Surcharge",
    "TargetSpec",
    "Unit",
    "load",
    "price_of",
    "surcharged",
    "surcharges",
    "worst_case",
]
