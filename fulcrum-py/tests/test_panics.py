"""A panic comes out as an exception of the library's, at every entry point."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import SHOP, Config

import fulcrum_market

SOURCES = Path(__file__).parents[1] / "src"
ID = "018f0000-0000-7000-8000-000000000001"
#: Only builds with debug assertions have it.
panic_after: Callable[[int], None] = getattr(fulcrum_market._fulcrum, "_panic_after", lambda calls: pytest.skip("a release build"))
BY = {"who": "ada", "why": "a test"}


def test_nothing_enters_the_module_past_the_guard() -> None:
    entries = 0
    for path in sorted(SOURCES.glob("*.rs")):
        code = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("//"))
        for past in (r"#\[pymethods", r"#\[pyfunction", r"new_closure\(", r"\bpymethods\b", r"\bPython::attach\("):
            assert not re.search(past, code), f"{path.name}: write #[guarded], or runtime::attach, not {past}"
        entries += code.count("#[guarded]")
    assert entries >= 10


def calls(market: Any, plan: fulcrum_market.Plan, config: Config, order: str = ID) -> dict[str, Callable[[], Any]]:
    """A call of each method and property of a federation."""
    return {
        "abandon": lambda: market.abandon(order, **BY),
        "accept": lambda: market.accept(plan),
        "act": lambda: market.act(order, 0, "stop", **BY),
        "access": lambda: market.access(order, 0),
        "cancel": lambda: market.cancel(order),
        "catalogue": lambda: market.catalogue,
        "run_conformance": lambda: market.run_conformance("alpha"),
        "close": lambda: market.close(),
        "compose": lambda: market.compose(SHOP),
        "create": lambda: fulcrum_market.AsyncFederation.create(config),
        "deliver": lambda: market.deliver("a test", print, timeout=0.1),
        "drive": lambda: market.drive(order),
        "dry_run": lambda: market.dry_run(plan),
        "events": lambda: market.events(order),
        "explain": lambda: market.explain(SHOP, plan),
        "export": lambda: market.export(order),
        "follow": lambda: market.follow(order),
        "forget": lambda: market.forget(datetime.now(timezone.utc)),
        "offers": lambda: market.offers(),
        "metrics": lambda: market.metrics(),
        "open": lambda: type(market).open("none.yaml"),
        "order": lambda: market.order(order),
        "orders": lambda: market.orders(),
        "pareto": lambda: market.pareto(SHOP, ("cost", "providers")),
        "purchase": lambda: market.purchase(plan),
        "reconcile": lambda: market.reconcile(),
        "reconcile_every": lambda: market.reconcile_every(1.0, print, timeout=0.1),
        "refresh": lambda: market.refresh(),
        "release": lambda: market.release(order, 0, **BY),
        "resume": lambda: market.resume(),
        "retry": lambda: market.retry(order, **BY),
        "serve": lambda: market.serve(timeout=0.1),
        "settings_schema": lambda: market.settings_schema("alpha", "machine"),
        "settle": lambda: market.settle(order, 0, evidence="none", **BY),
        "sources": lambda: market.sources,
        "timeline": lambda: market.timeline(order),
        "why_not": lambda: market.why_not(SHOP, plan, "alpha/r1/0012"),
    }


def names(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("__")}


def panics(call: Callable[[], Any]) -> None:
    panic_after(0)
    with pytest.raises(fulcrum_market.InternalError, match="please report it: planted") as caught:
        call()
    assert caught.value.code == 902


def test_each_method_turns_a_panic_into_an_error(config: Config) -> None:
    market = fulcrum_market.Federation(config)
    market.refresh()
    plan = market.compose(SHOP)
    every = calls(market, plan, config)
    assert set(every) - {"create"} == names(fulcrum_market.Federation)
    for name in sorted(names(fulcrum_market.Federation)):
        panics(every[name])
    order = market.purchase(plan)
    catalogue, events = market.catalogue, market.follow(order.id)
    for value in (plan, order, catalogue):
        for name in names(type(value)) - {"from_json", "query", "approval_digest"}:
            # A property answers at once, a method when it is called.
            def use(value: object = value, name: str = name) -> Any:
                found = getattr(value, name)
                return found() if callable(found) else found

            panics(use)
    for call in (
        lambda: fulcrum_market.Federation(config), lambda: fulcrum_market.Plan.from_json("{}"), lambda: plan.approval_digest(),
        lambda: catalogue.query(), lambda: fulcrum_market.verify_archive({}), lambda: next(events), lambda: iter(events),
        lambda: len(plan), lambda: len(catalogue), lambda: plan[0], lambda: hash(plan), lambda: str(order), lambda: iter(plan),
        lambda: repr(plan), lambda: repr(order), lambda: repr(catalogue), lambda: repr(market),
    ):  # fmt: skip
        panics(call)
    assert market.order(order.id) is not None


async def test_each_coroutine_turns_a_panic_into_an_error(config: Config) -> None:
    market = await fulcrum_market.AsyncFederation.create(config)
    await market.refresh()
    plan = await market.compose(SHOP)
    every = calls(market, plan, config)
    assert set(every) == names(fulcrum_market.AsyncFederation)
    for name, call in every.items():
        panics(call)
        if name in ("catalogue", "close", "metrics", "offers", "sources", "settings_schema", "follow"):
            continue
        for later in (1, 2):  # when it begins, and on a thread of the library's
            panic_after(later)
            with pytest.raises(fulcrum_market.InternalError, match="planted"):
                await call()
    panic_after(-1)
    assert await market.order(ID) is None
