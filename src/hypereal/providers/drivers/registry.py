"""The drivers that there are: every module of `vendors/` has one, by the module's name."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from hypereal.providers.drivers import vendors
from hypereal.providers.drivers.driver import Driver


def _scan() -> Mapping[str, Driver]:
    names = sorted(module.name for module in iter_modules(vendors.__path__))
    found = {name: import_module(f"{vendors.__name__}.{name}").DRIVER for name in names}
    for name, driver in found.items():
        if driver.name != name:
            raise ValueError(f"the driver of {name}.py is called {driver.name}")
    return found


DRIVERS: Mapping[str, Driver] = _scan()
