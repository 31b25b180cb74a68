"""A first day without a network: dated price tables, exchange rates and blueprints, and sandbox clouds that sell by them.

    >>> from fulcrum_market import examples
    >>> market = examples.market()
    >>> offers = market.offers(kind="machine", vcpu=4, memory="16 GiB", limit=5)
    >>> plan = market.compose(examples.blueprint("three-tier"))
    >>> order = market.purchase(plan)
    >>> order.is_committed
    True
    >>> market.close()

The prices are those of the project's ``examples/catalogue``: each row has the day on which it was published, and where. Compare
with them; before you buy, check the provider's own price.
"""

from __future__ import annotations

import os
import pathlib
import typing

import fulcrum_market

__all__ = ["BLUEPRINTS", "CATALOGUE", "RATES", "blueprint", "blueprints", "config", "market"]

_FOLDER = pathlib.Path(__file__).resolve().parent
#: The folder of price tables, one for each provider.
CATALOGUE = _FOLDER / "catalogue"
#: Exchange rates of one day, as the European Central Bank publishes them.
RATES = _FOLDER / "rates" / "ecb.csv"
#: The folder of blueprints.
BLUEPRINTS = _FOLDER / "blueprints"


def blueprints() -> typing.List[str]:
    """The names of all example blueprints."""
    return sorted(file.stem for file in BLUEPRINTS.glob("*.yaml"))


def blueprint(name: str = "three-tier") -> pathlib.Path:
    """The file of a blueprint, which ``compose()`` takes as it is.

    Raises:
        LookupError: There is none of this name; the text has those that there are.
    """
    file = BLUEPRINTS / f"{name}.yaml"
    if name not in blueprints():
        raise LookupError(f"there is no example blueprint {name!r}; write one of {', '.join(blueprints())}")
    return file


def config(ledger: typing.Union[str, os.PathLike[str]] = ":memory:") -> typing.Dict[str, typing.Any]:
    """A configuration over the tables: sandbox clouds in this process, which sell at these prices and keep nothing.

    A copy of it is a start for a configuration of your own. ``ledger`` is a file that keeps the orders.
    """
    sandbox = {"catalogue": str(CATALOGUE), "seed": 7, "operation_ms": [20, 80]}
    return {
        "ledger": os.fspath(ledger),
        "rates": str(RATES),
        # These rates are of one day; by default a rate of more than a week converts nothing.
        "max_rates_age_days": 36500,
        "providers": [{"sandbox": sandbox}],
    }


def market(ledger: typing.Union[str, os.PathLike[str]] = ":memory:") -> fulcrum_market.Federation:
    """A federation over config(), with its catalogue read.

    Raises:
        LedgerError: The ledger cannot be opened.
    """
    opened = fulcrum_market.Federation(config(ledger), reach={"trusted": True})
    opened.refresh()
    return opened
