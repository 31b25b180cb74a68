"""Plans, orders, timelines, frontiers and explanations as objects, and arguments as people write them."""

from __future__ import annotations

import copy
import datetime
import json
import pickle
import re
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import SHOP, Config

import fulcrum_market
from fulcrum_market import Frontier, Lease, LineKind, Measure, OfferKind, OrderState, ServiceStatus, StopReason, _record

ID = "018f0000-0000-7000-8000-000000000001"


@pytest.fixture
def market(config: Config) -> fulcrum_market.Federation:
    market = fulcrum_market.Federation(config)
    market.refresh()
    return market


def column(page: str, at: int) -> list[Decimal]:
    """The amounts of one column of a table, its foot last."""
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    return [Decimal(row[at].replace(",", "")) for row in rows[1:]]


def test_a_plan_is_a_sequence_of_leases(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    first, second = plan
    assert isinstance(first, Lease) and plan[0] == first != second and plan[-1] == second and plan[:1] == [first]
    assert first.kind is OfferKind.MACHINE and first.place.country == "DE" and str(first.place) == "alpha/r1"
    assert first.replicas == {"web": 1} and first.lines[0].kind is LineKind.OFFER and first.lines[0].monthly == Decimal(10)
    assert sum(lease.monthly for lease in plan) == plan.monthly == Decimal("22.5") and plan.total == Decimal(270)
    assert plan.objective_measure is Measure.COST and plan.stop is StopReason.OPTIMAL and plan.blueprint == "shop"
    assert plan.measures == {Measure.COST: Decimal("22.5")} and plan.measures[Measure.COST] == plan.objective
    assert first.to_dict() == plan.to_dict()["leases"][0]
    with pytest.raises(IndexError):
        plan[2]


def test_values_compare_and_travel(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    order = market.purchase(plan)
    said = market.explain(SHOP, plan)
    frontier = market.pareto(SHOP, ["cost", "providers"])
    for value in (plan, order, said, frontier, market.timeline(order.id), market.offers(), plan[0], order.services[0]):
        for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
            assert other == value and type(other) is type(value)
            assert not other != value
    assert len({plan, pickle.loads(pickle.dumps(plan)), market.compose(SHOP)}) == 1 == len({order, market.order(order)})
    assert plan.is_optimal and not pickle.loads(pickle.dumps(plan)).is_optimal, "what was read only claims it"
    assert order != market.cancel(order)


def test_an_order_has_types(market: fulcrum_market.Federation) -> None:
    before = datetime.datetime.now(datetime.timezone.utc)
    order = market.purchase(market.compose(SHOP))
    assert order.state is OrderState.COMMITTED and {"committed": 1}[order.state] and f"{order.state}" == "committed"
    assert json.dumps({"state": order.state}) == '{"state": "committed"}'
    assert before - datetime.timedelta(seconds=1) <= order.created <= datetime.datetime.now(datetime.timezone.utc)
    service = order.services[0]
    assert service.status is ServiceStatus.RUNNING and service.place.region == "r1" and service.provider == "alpha"
    assert order.id in str(order) and service.id in str(order) and "committed" in order._repr_html_()


def test_a_plan_shows_what_adds_up(config: Config) -> None:
    shop = dict(
        SHOP,
        provider_fees={"default": {"monthly": "3.21", "once": "7"}},
        objective=["providers", "cost"],
    )
    market = fulcrum_market.Federation(config)
    market.refresh()
    plan = market.compose(shop)
    assert len(plan.fees) == 2 and plan.fees[0].monthly == Decimal("3.21")
    page = plan._repr_html_()
    *monthly, total = column(page, 4)
    assert sum(monthly) == total == plan.monthly and len(monthly) == 4
    *once, at_start = column(page, 5)
    assert sum(once) == at_start == plan.once == Decimal(14)
    # What is minimised is no money here, and stands under its own name.
    assert plan.objective_measure is Measure.PROVIDERS and plan.objective == 2
    assert "minimised: providers: 2 number; proven best" in page and "EUR a month, net" not in page
    lines = str(plan).splitlines()
    end = lines[0].index("EUR a month") + len("EUR a month")
    assert [line[:end].split()[-1] for line in lines[2:6]] == ["10.00", "12.50", "3.21", "3.21"]
    assert "1 lease," in repr(market.compose({"name": "one", "components": {"web": {"vcpu": 1}}}))


def test_a_frontier_says_whether_it_is_whole(market: fulcrum_market.Federation) -> None:
    shop = {"name": "two", "components": {"web": {"vcpu": 2, "replicas": 2}}}
    frontier = market.pareto(shop, ("cost", "providers"))
    assert isinstance(frontier, Frontier) and frontier.is_complete and frontier.measures == (Measure.COST, Measure.PROVIDERS)
    assert [frontier.values(plan) for plan in frontier] == [(Decimal(20), Decimal(1))] and len(frontier) == 1
    assert "not complete" not in repr(frontier) and "cost (EUR)" in repr(frontier)
    stopped = market.pareto(shop, ("cost", "providers"), progress=lambda *_: False)
    assert not stopped.is_complete and "not complete" in repr(stopped) and "not complete" in stopped._repr_html_()
    with pytest.raises(ValueError, match="two"):
        market.pareto(shop, ["cost"])


def test_an_explanation_is_an_object(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    said = market.explain(SHOP, plan)
    assert said.binding[0].costs == Decimal("2.5") and said.binding[0].is_proven and str(said) == said.text
    assert "constraints[0]" in said._repr_html_() and said.runners_up[0].more is None
    other = market.explain({"name": "one", "components": {"web": {"vcpu": 1}}}, market.compose({"name": "one", "components": {"web": {"vcpu": 1}}}))
    (runner_up,) = other.runners_up
    assert runner_up.more == Decimal("2.5") and runner_up.plan is not None and runner_up.plan.monthly == Decimal("12.5")
    why = market.why_not(SHOP, plan, market.offers()[0])
    assert why.reasons == ("the plan uses it",) and str(why) == "alpha/r1/0012: the plan uses it"
    assert market.why_not(SHOP, plan, plan[0]) == why


def test_a_timeline_is_a_sequence(market: fulcrum_market.Federation) -> None:
    order = market.purchase(market.compose(SHOP))
    timeline = market.timeline(order)
    assert [*timeline][0] == timeline[0] == timeline.entries[0] and len(timeline) == len(timeline.entries)
    assert timeline.state is OrderState.COMMITTED and timeline.order == order.id
    assert timeline.start == order.created and timeline[0].at.tzinfo is not None and timeline[0].subject == "order"
    assert str(timeline).count("\n") >= len(timeline) and "step 0 at alpha" in timeline._repr_html_()
    assert market.timeline(order.id).to_dict()["format"] == "fulcrum-timeline/1"


def test_times_of_any_precision_are_read() -> None:
    for text, micros in (("2026-11-25T10:00:00Z", 0), ("2026-11-25T10:00:00.5Z", 500_000),
                         ("2026-11-25T10:00:00.123456789Z", 123_456), ("2026-11-25T10:00:00.000001+00:00", 1)):  # fmt: skip
        assert _record.moment(text) == datetime.datetime(2026, 11, 25, 10, 0, 0, micros, datetime.timezone.utc)


def test_an_order_is_named_by_what_is_at_hand(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    order = market.purchase(plan, id=uuid.UUID(ID))
    assert order.id == ID and market.purchase(plan, id=order).services == order.services
    for name in (ID, uuid.UUID(ID), order):
        assert market.order(name) == order
        assert len(market.events(name)) == len(market.timeline(name)) and market.export(name)
    assert market.orders(before=order) == []
    assert market.cancel(order).state is OrderState.ENDED
    for odd in (7, b"a", None, plan):
        with pytest.raises(TypeError, match="an order, its id, or a UUID is needed"):
            market.order(odd)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        market.order("")


def test_times_are_seconds_or_a_timedelta(market: fulcrum_market.Federation) -> None:
    second = datetime.timedelta(seconds=1)
    assert market.compose(SHOP, timeout=second).is_optimal
    assert market.explain(SHOP, market.compose(SHOP), timeout=5 * second).is_complete
    market.serve(timeout=datetime.timedelta(milliseconds=50))
    market.reconcile_every(datetime.timedelta(hours=1), lambda found: None, timeout=second / 10)
    market.deliver("a test", print, timeout=second / 10)
    assert market.run_conformance("alpha", timeout=second * 30)["is_passed"]
    with pytest.raises(ValueError, match="timeout"):
        market.compose(SHOP, timeout=-second)
    for odd in ("5", [5], object()):
        with pytest.raises(TypeError, match="timedelta"):
            market.compose(SHOP, timeout=odd)  # type: ignore[arg-type]


def test_a_text_never_names_a_file_and_a_path_does(market: fulcrum_market.Federation, tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHOP))
    plan = market.compose(SHOP)
    assert market.compose(file) == plan
    # A text may be a stranger's: no file is read that it names, and nothing of it is told.
    for name in (str(file), "shop.yaml", "../shop.yml"):
        with pytest.raises(fulcrum_market.DocumentError, match=r"pathlib\.Path"):
            market.compose(name)
    for text in ('{"name": "x.yaml"', "name: x.json", "x\n.yaml", "[a.yml"):
        with pytest.raises(fulcrum_market.DocumentError):
            market.compose(text)
    # A configuration may be a stranger's, and reads no file that it names.
    with pytest.raises(fulcrum_market.DocumentError, match=r"Federation.open\(path\)"):
        fulcrum_market.Federation("shop.json")


def test_a_federation_closes(config: Config) -> None:
    with fulcrum_market.Federation(config) as market:
        market.refresh()
        plan = market.compose(SHOP)
        order = market.purchase(plan)
    market.close()
    assert plan.monthly and order.services, "values stay"
    for call in (market.refresh, market.orders, lambda: market.catalogue, lambda: market.compose(SHOP), market.offers):
        with pytest.raises(ValueError, match="the federation is closed"):
            call()
    with pytest.raises(RuntimeError, match="mine"), fulcrum_market.Federation(config) as market:
        raise RuntimeError("mine")
    with fulcrum_market.Federation(config) as again:
        assert again.orders() == [order]


async def test_a_federation_closes_in_a_loop(config: Config) -> None:
    async with await fulcrum_market.AsyncFederation.create(config) as market:
        await market.refresh()
        assert await market.compose(SHOP, timeout=datetime.timedelta(seconds=5))
    with pytest.raises(ValueError, match="closed"):
        await market.refresh()
    await market.close()
    assert repr(market) == "<fulcrum_market.AsyncFederation: closed>"


def test_what_does_not_fit_says_the_ways_out(market: fulcrum_market.Federation) -> None:
    with pytest.raises(fulcrum_market.InfeasibleError) as caught:
        market.compose(dict(SHOP, budget=15))
    error = caught.value
    assert error.cheapest == Decimal("22.5") and error.is_minimal and "22.5 EUR a month" in (error.hint or "")
    assert [way.condition.split(":")[0] for way in error.ways_out] == ["budget"] or error.ways_out[0].is_proven
    assert {way.condition for way in error.ways_out} <= set(error.conditions)
    again = pickle.loads(pickle.dumps(error))
    assert (again.ways_out, str(again), again.code) == (error.ways_out, str(error), 302)
    with pytest.raises(fulcrum_market.InfeasibleError) as other:
        market.compose(dict(SHOP, components={"web": {"vcpu": 64}}))
    assert other.value.cheapest is None and other.value.hint
