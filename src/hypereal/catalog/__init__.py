"""Which models exist, what they are called, where they are sent and what they cost.

Read `model.py` first; the models themselves are tables in `models/`.
"""

from hypereal.catalog.cache import PriceCache
from hypereal.catalog.catalog import ROUTES, SET_HERE, Catalog
from hypereal.catalog.loading import load
from hypereal.catalog.media import MediaAsked, MediaOrder, MediaPrice, MediaRules, Unit, order_of
from hypereal.catalog.model import INTENTS, Kind, Model, TargetSpec
from hypereal.catalog.price import LongContext, Price, Rates, price_of, surcharged, worst_case
from hypereal.catalog.sound import SoundAsked, SoundKind, SoundOrder, SoundRules, Voice, requests_of, sound_order_of
from hypereal.catalog.surcharges import Surcharge, surcharges
from hypereal.catalog.versions import PriceVersion, cancel_price, current_prices, in_force, list_prices, set_price

__all__ = [
    "INTENTS",
    "ROUTES",
    "SET_HERE",
    "Catalog",
    "Kind",
    "LongContext",
    "MediaAsked",
    "MediaOrder",
    "MediaPrice",
    "MediaRules",
    "Model",
    "Price",
    "PriceCache",
    "PriceVersion",
    "Rates",
    "SoundAsked",
    "SoundKind",
    "SoundOrder",
    "SoundRules",
    "Surcharge",
    "TargetSpec",
    "Unit",
    "Voice",
    "cancel_price",
    "current_prices",
    "in_force",
    "list_prices",
    "load",
    "order_of",
    "price_of",
    "requests_of",
    "set_price",
    "sound_order_of",
    "surcharged",
    "surcharges",
    "worst_case",
]
