"""The dicts are what their types say, and type checkers see their fields."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import mypy.api
from conftest import SHOP, Config

import fulcrum_market
from fulcrum_market import documents


def misfit(value: Any, expected: Any, path: str = "") -> typing.Optional[str]:
    """Where a value is not of a type; None if it is."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    wrong = f"{path}: {value!r} is no {expected}"
    if expected is Any:
        return None
    if origin is typing.Union:
        misfits = [misfit(value, one, path) for one in arguments]
        return None if None in misfits else max((it or "" for it in misfits), key=len)
    if origin is typing.Literal:
        return None if value in arguments else wrong
    if origin is list:
        return next(filter(None, (misfit(it, arguments[0], f"{path}[{i}]") for i, it in enumerate(value))), None)
    if origin is dict:
        return next(filter(None, (misfit(it, arguments[1], f"{path}.{key}") for key, it in value.items())), None)
    if not hasattr(expected, "__required_keys__"):
        return None if isinstance(value, expected) and not isinstance(value, bool) or expected is bool else wrong
    if not isinstance(value, dict) or not expected.__required_keys__ <= set(value):
        return wrong
    hints = typing.get_type_hints(expected)
    if unknown := set(value) - set(hints):
        return f"{path}: {expected.__name__} has no {unknown}"
    return next(filter(None, (misfit(it, hints[key], f"{path}.{key}") for key, it in value.items())), None)


def test_what_comes_out_fits_its_types(config: Config) -> None:
    market = fulcrum_market.Federation(config)
    catalogue = market.refresh()
    plan = market.compose(SHOP)
    order = market.purchase(plan)
    cancelled = market.cancel(market.purchase(plan).id, who="Ada", why="a test")
    dicts: list[tuple[Any, Any]] = [
        *((source, documents.SourceReport) for source in market.sources),
        *((offer, documents.Offer) for offer in catalogue.query()),
        *((lease.to_dict(), documents.Lease) for lease in plan.leases),
        *((service.to_dict(), documents.Service) for service in order.services),
        *((event, documents.OrderEvent) for event in market.events(order.id)),
        (plan.to_dict(), documents.Plan),
        (order.to_dict(), documents.Order),
        (market.export(cancelled.id), documents.OrderArchive),
        (market.timeline(order.id).to_dict(), documents.Timeline),
        (market.reconcile(), documents.Reconciliation),
        (market.explain(SHOP, plan).to_dict(), documents.Explanation),
        (market.why_not(SHOP, plan, catalogue.query()[0]["id"]).to_dict(), documents.Rejection),
    ]
    assert [misfit(value, its_type, its_type.__name__) for value, its_type in dicts] == [None] * len(dicts)
    assert {its_type for _, its_type in dicts} >= {documents.Service, documents.OrderEvent}
    assert misfit({**plan.to_dict(), "monthly": 5}, documents.Plan), "the check finds what is wrong"


# What mypy takes.
RIGHT = """
from decimal import Decimal
from fulcrum_market import Order, Plan, Service, documents

def region(plan: Plan) -> str:
    return plan[0].place.region.upper()

def prices(plan: Plan) -> list[Decimal]:
    return [line.monthly for lease in plan for line in lease.lines]

def texts(plan: Plan) -> list[str]:
    return [line["monthly"] for line in plan.to_dict()["leases"][0]["lines"]]

def failure(event: documents.OrderEvent) -> str:
    return event["kind"]["reason"] if event["kind"]["event"] == "drive_failed" else ""

def address(order: Order) -> object:
    services: list[Service] = order.services
    return services[0].attributes.get("ipv4")
"""
# What it refuses, each with its words.
WRONG = [
    ("plan[0].price", '"Lease" has no attribute "price"'),
    ("plan.to_dict()['leases'][0]['price']", 'TypedDict "Lease" has no key "price"'),
    ("order.to_dict()['state'] == 'broken'", "Non-overlapping equality check"),
    ("plan.to_dict()['monthly'] * 12 + 1", "Unsupported operand"),
]


def test_mypy_knows_the_fields(tmp_path: Path) -> None:
    module = tmp_path / "snippet.py"
    lines = [f"def f{i}(plan: Plan, order: Order) -> object: return {wrong}" for i, (wrong, _) in enumerate(WRONG)]
    module.write_text(RIGHT + "\n".join(lines))
    found, failure, _ = mypy.api.run(["--strict", "--no-error-summary", "--cache-dir", str(tmp_path), str(module)])
    assert not failure, failure
    objections = found.splitlines()
    assert len(objections) == len(WRONG), found
    for objection, (_, words) in zip(objections, WRONG):
        assert words in objection, found
