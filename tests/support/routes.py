"""Every route of the control process, as it declares them; none is served here."""

from hypereal.kit.db import Database
from hypereal.kit.settings import Settings
from hypereal.serve.parts import api_routes, link_routes, open_parts

_PARTS = open_parts(Database("postgresql://nowhere"), Settings(), "0" * 32)
ROUTES = api_routes(_PARTS, lambda _: None)
LINKS = link_routes(_PARTS)
