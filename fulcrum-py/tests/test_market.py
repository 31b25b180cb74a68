"""The road from prices to a purchase, blocking and awaited; and what mistakes look like."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Optional


import pytest
from conftest import SHOP, Config, provider

import fulcrum_market
from fulcrum_market import documents, errors

ID = "018f0000-0000-7000-8000-000000000001"


@pytest.fixture
def market(config: Config) -> fulcrum_market.Federation:
    market = fulcrum_market.Federation(config)
    market.refresh()
    return market


def test_composes_and_buys(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    assert (plan.monthly, plan.bound, plan.once) == (Decimal("22.5"), Decimal("22.5"), Decimal(0))
    assert isinstance(plan.monthly, Decimal)
    assert plan.is_optimal and plan.gap_percent == 0 and plan.currency == "EUR"
    assert len(plan) == 2 and {lease.sku for lease in plan} == {"0012"}
    assert "22.5" in repr(plan) and "<table>" in plan._repr_html_()

    order = market.purchase(plan)
    assert order.is_committed and order.state == "committed" and order.reason is None
    assert {service.provider for service in order.services} == {"alpha", "beta"}
    assert order.plan == plan and order.sold_out == set()
    found = market.reconcile()
    assert found["findings"] == [] and found["failed"] == {} and found["scanned"]["services"] == 2
    again = market.order(order.id)
    assert again is not None and again.to_dict() == order.to_dict()
    assert [event["sequence"] for event in market.events(order.id)] == sorted(
        event["sequence"] for event in market.events(order.id)
    )

    ended = market.cancel(order.id)
    assert ended.state == "ended" and ended.services == []


def test_a_dry_run_tells_what_would_be_refused_and_buys_nothing(config: Config) -> None:
    config["providers"][0]["sandbox"]["quota"] = 0
    market = fulcrum_market.Federation(config)
    market.refresh()
    found = market.dry_run(market.compose(SHOP))
    assert {refusal["provider"] for refusal in found["refusals"]} == {"alpha", "beta"}
    assert {refusal["kind"] for refusal in found["refusals"]} == {"quota_exceeded"}
    assert found["unchecked"] == [] and market.orders() == []
    with pytest.raises(errors.PurchaseError, match="max_total"):
        market.dry_run(market.compose(SHOP), {"max_total": 1})

    async def tried() -> documents.DryRun:
        other = await fulcrum_market.AsyncFederation.create(config)
        await other.refresh()
        return await other.dry_run(await other.compose(SHOP))

    assert asyncio.run(tried()) == found


def test_threads_find_the_same(market: fulcrum_market.Federation) -> None:
    assert market.compose(SHOP, threads=2) == market.compose(SHOP)
    with pytest.raises(ValueError, match="threads"):
        market.compose(SHOP, threads=0)


def test_a_person_has_nothing_to_do_about_an_order_that_is_not_stuck(market: fulcrum_market.Federation) -> None:
    order = market.purchase(market.compose(SHOP))
    with pytest.raises(errors.PurchaseError, match="not stuck"):
        market.retry(order.id, who="ada", why="to see")
    with pytest.raises(errors.PurchaseError, match="not stuck"):
        market.settle(order.id, 0, who="ada", why="to see", evidence="none")
    with pytest.raises(errors.PurchaseError, match="who"):
        market.retry(order.id, who=" ", why="to see")


def test_services_are_stopped_and_released(market: fulcrum_market.Federation) -> None:
    order = market.purchase(market.compose(SHOP))
    order = market.act(order.id, 0, "stop", who="ada", why="night")
    assert order.is_committed and order.services[0].status == "stopped"
    with pytest.raises(errors.DocumentError):
        market.act(order.id, 0, "explode", who="ada", why="to see")
    before = len(order.services)
    order = market.release(order.id, 0, who="ada", why="not needed")
    assert len(order.services) == before - 1
    with pytest.raises(errors.PurchaseError, match="has no service"):
        market.act(order.id, 0, {"resize": {"sku": "large"}}, who="ada", why="to see")


def test_serves_for_a_while(market: fulcrum_market.Federation) -> None:
    market.serve(concurrency=2, timeout=0.2)


def test_the_same_id_buys_once(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    first, second = market.purchase(plan, id=ID), market.purchase(plan, id=ID)
    assert first.id == second.id == ID
    assert first.services == second.services and len(first.services) == 2
    other = dict(SHOP, name="other")
    with pytest.raises(fulcrum_market.PurchaseError, match="another plan") as caught:
        market.purchase(market.compose(other), id=ID)
    assert caught.value.code == 203


def test_a_plan_survives_text(market: fulcrum_market.Federation) -> None:
    plan = market.compose(json.dumps(SHOP))
    assert fulcrum_market.Plan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json()) == plan.to_dict()
    with pytest.raises(fulcrum_market.DocumentError):
        fulcrum_market.Plan.from_json("{}")


def test_documents_come_as_text_path_or_dict(market: fulcrum_market.Federation, tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(json.dumps(SHOP))
    plans = [market.compose(SHOP), market.compose(json.dumps(SHOP)), market.compose(path)]
    assert plans[0] == plans[1] == plans[2]
    with pytest.raises(TypeError, match="not float"):
        market.compose(1.5)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        market.compose(tmp_path / "none.yaml")


def test_a_mistake_says_what_to_write(market: fulcrum_market.Federation) -> None:
    with pytest.raises(fulcrum_market.DocumentError, match="did you mean `replicas`") as caught:
        market.compose({"name": "x", "components": {"web": {"vcpu": 1, "memory_mib": 1, "replica": 2}}})
    assert isinstance(caught.value, ValueError) and caught.value.code in (301, 401)
    with pytest.raises(fulcrum_market.DocumentError):
        fulcrum_market.Federation({"ledger": ":memory:", "provider": []})
    with pytest.raises(ValueError, match="timeout"):
        market.compose(SHOP, timeout=-1)
    with pytest.raises(fulcrum_market.DocumentError, match="tolerance"):
        market.purchase(market.compose(SHOP), {"price_tolerance": 1})
    with pytest.raises(LookupError):
        market.drive(ID)


def test_what_clashes_is_named(market: fulcrum_market.Federation) -> None:
    web = dict(SHOP["components"]["web"], replicas=3)
    distinct = {"distinct": {"over": "provider", "at_most": 1}}
    blueprint = dict(SHOP, components={"web": web}, constraints=[*SHOP["constraints"], distinct])
    with pytest.raises(fulcrum_market.InfeasibleError) as caught:
        market.compose(blueprint)
    assert len(caught.value.conditions) == 2 and caught.value.code == 302
    with pytest.raises(fulcrum_market.InfeasibleError):
        market.compose(SHOP, exclude=[market.compose(SHOP).leases[0].offer])
    with pytest.raises(fulcrum_market.InfeasibleError):
        market.compose(SHOP, exclude_providers=[market.compose(SHOP).leases[0].provider])
    with pytest.raises(ValueError, match="exclude_providers"):
        market.compose(SHOP, exclude_providers=[""])


def test_a_plan_uses_what_can_be_ordered(config: Config, tmp_path: Path) -> None:
    today = datetime.now(timezone.utc).date().isoformat()
    listed = provider("leaflet", "1.00")
    listed["offers"][0]["observed"] = today
    table = {"format": "fulcrum-catalogue/1", "providers": [listed]}
    (tmp_path / "table.json").write_text(json.dumps(table))
    config["providers"].append({"catalogue_file": str(tmp_path / "table.json")})
    market = fulcrum_market.Federation(config)
    market.refresh()
    web = {"name": "web", "components": {"web": {"vcpu": 2}}}

    def seller(**options: Any) -> tuple[str, Optional[str]]:
        plan = market.compose(web, **options)
        return plan.leases[0].provider, plan.to_dict().get("offers")

    assert seller() == seller(offers="orderable") == ("alpha", "orderable")
    assert seller(offers="all") == ("leaflet", "all")
    with pytest.raises(ValueError, match="orderable"):
        seller(offers="some")
    with pytest.raises(fulcrum_market.PurchaseError, match="only lists offers"):
        market.purchase(market.compose(web, offers="all"))


def test_a_form_is_drawn_from_what_a_provider_declares(config: Config) -> None:
    image = {"name": "image", "type": "text", "kinds": ["machine"], "required": True, "about": "what it boots"}
    config["providers"][0]["sandbox"]["settings"] = [image, "note"]
    market = fulcrum_market.Federation(config)
    schema = market.settings_schema("alpha", "machine")
    assert schema["required"] == ["image"] and set(schema["properties"]) == {"image", "note"}
    assert schema["properties"]["image"] == {"type": "string", "description": "what it boots"}
    assert market.settings_schema("alpha", "database")["required"] == []
    with pytest.raises(fulcrum_market.PurchaseError, match="nobody"):
        market.settings_schema("nobody", "machine")
    with pytest.raises(ValueError, match="kind of offer"):
        market.settings_schema("alpha", "spaceship")
    market.refresh()
    with pytest.raises(fulcrum_market.InfeasibleError, match="needs the setting `image`, a text"):
        market.compose(SHOP)
    web = dict(SHOP["components"]["web"], settings={"image": "debian-13"})
    order = market.purchase(market.compose(dict(SHOP, components={"web": web})))
    assert order.is_committed


def test_progress_is_told_and_its_failure_ends_the_search(market: fulcrum_market.Federation) -> None:
    seen: list[int] = []

    def watch(incumbent: Decimal | None, bound: Decimal | None, nodes: int) -> None:
        seen.append(nodes)

    market.compose(SHOP, progress=watch)
    assert seen

    def fail(*_: object) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        market.compose(SHOP, progress=fail)


def test_catalogue(market: fulcrum_market.Federation) -> None:
    catalogue = market.catalogue
    assert len(catalogue) == 2 and catalogue.quarantined == []
    assert [source["state"] for source in catalogue.sources] == ["fresh", "fresh"]
    cheapest = catalogue.query({"limit": 1})
    assert [offer["id"] for offer in cheapest] == ["alpha/r1/0012"]
    assert catalogue.query({"max_monthly": "1"}) == []
    with pytest.raises(fulcrum_market.DocumentError):
        catalogue.query({"limits": 1})


def test_every_code_has_its_exception() -> None:
    for code, kind in errors._BY_CODE.items():
        error = errors._make(code, "text", None)
        assert type(error) is kind and error.code == code and str(error) == "text"
    assert type(errors._make(299, "", None)) is fulcrum_market.PurchaseError
    assert type(errors._make(902, "", None)) is fulcrum_market.InternalError
    assert type(errors._make(999, "", None)) is fulcrum_market.FulcrumError


def test_every_exception_is_exported() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert len(kinds) > 20 and kinds <= set(fulcrum_market.__all__)
    assert all(getattr(fulcrum_market, name) is getattr(errors, name) for name in kinds)


def test_a_provider_that_fails_says_who_and_what(config: Config) -> None:
    fault = {"call": "services", "times": 100, "fault": "unauthorised"}
    config["providers"][0]["sandbox"]["faults"] = [fault]
    failed = fulcrum_market.Federation(config).reconcile()["failed"]
    assert set(failed) == {"alpha", "beta"} and "services" in failed["alpha"], failed
    error = errors._make(102, "refused", None, ("alpha", "services", None, False))
    assert isinstance(error, fulcrum_market.UnauthorisedError)
    assert (error.provider, error.call, error.request_id, error.retryable) == ("alpha", "services", None, False)


def restored(config: Config, tmp_path: Path) -> tuple[fulcrum_market.Federation, fulcrum_market.Federation]:
    """A market, and one over the same clouds with an empty ledger."""
    config["providers"][0]["sandbox"]["state"] = str(tmp_path / "clouds")
    elsewhere = dict(config, ledger=str(tmp_path / "restored.db"))
    return fulcrum_market.Federation(config), fulcrum_market.Federation(elsewhere)


def test_what_a_restored_ledger_does_not_know_is_reported_and_never_touched(config: Config, tmp_path: Path) -> None:
    market, other = restored(config, tmp_path)
    market.refresh()
    order = market.purchase(market.compose(SHOP))
    found = other.reconcile({"orphans": "release", "duplicates": "release"})
    assert {finding["kind"] for finding in found["findings"]} == {"unknown"}
    assert {finding["order"] for finding in found["findings"]} == {order.id}
    assert all("restored" in finding["evidence"] for finding in found["findings"])
    assert found["repaired"] == [] and market.reconcile()["scanned"]["services"] == 2
    with pytest.raises(fulcrum_market.DocumentError, match="orphans"):
        market.reconcile({"orphans": "end"})
    with pytest.raises(fulcrum_market.DocumentError, match="orphan"):
        market.reconcile("{ orphan: release }")


def test_reconciles_on_a_schedule(market: fulcrum_market.Federation) -> None:
    market.purchase(market.compose(SHOP))
    told: list[object] = []
    market.reconcile_every(0.05, told.append, repair={"orphans": "release"}, timeout=2)
    assert len(told) > 2 and all(isinstance(one, dict) and one["findings"] == [] for one in told)

    def fail(_: object) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        market.reconcile_every(60, fail)
    with pytest.raises(ValueError, match="interval"):
        market.reconcile_every(-1, told.append)


async def test_reconciles_on_a_schedule_awaited(config: Config) -> None:
    market = await fulcrum_market.AsyncFederation.create(config)
    seen = asyncio.Event()
    loop = asyncio.get_running_loop()

    def report(outcome: object) -> None:
        assert isinstance(outcome, dict) and outcome["findings"] == []
        loop.call_soon_threadsafe(seen.set)

    task = asyncio.ensure_future(market.reconcile_every(0.05, report))
    await asyncio.wait_for(seen.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    made = errors._make(108, "slow down", None, ("alpha", "quote", "r-17", True))
    assert (made.provider, made.call, made.request_id, made.retryable) == ("alpha", "quote", "r-17", True)


def test_what_is_not_known_of_an_error_is_none(market: fulcrum_market.Federation) -> None:
    with pytest.raises(fulcrum_market.DocumentError) as caught:
        market.compose("name: [")
    error = caught.value
    assert (error.provider, error.call, error.request_id, error.retryable) == (None, None, None, None)


def test_a_plan_from_elsewhere_names_the_provider(market: fulcrum_market.Federation) -> None:
    text = market.compose(SHOP).to_json().replace("beta", "gamma")
    with pytest.raises(fulcrum_market.PurchaseError) as caught:
        market.purchase(fulcrum_market.Plan.from_json(text))
    assert caught.value.provider == "gamma" and caught.value.call is None


def test_sources_say_how_each_provider_answered(config: Config) -> None:
    fault = {"call": "offers", "times": 100, "fault": "forbidden"}
    config["providers"][0]["sandbox"]["faults"] = [fault]
    market = fulcrum_market.Federation(config)
    assert market.sources == []
    market.refresh()
    assert {source["provider"] for source in market.sources} == {"alpha", "beta"}
    for source in market.sources:
        state = source["state"]
        assert state != "fresh" and "missing" in state and "not allowed" in state["missing"]["reason"]
    assert market.sources == market.catalogue.sources


def test_an_order_is_followed_while_another_thread_drives_it(market: fulcrum_market.Federation) -> None:
    order = market.accept(market.compose(SHOP))
    events = market.follow(order.id)
    assert iter(events) is events
    first = next(events)
    assert {key: value for key, value in first["kind"].items() if key != "accepted"} == {
        "event": "order",
        "state": "accepted",
        "reason": None,
    }
    # The driver starts while this thread waits: that it ends shows that the interpreter is free meanwhile.
    driver = threading.Timer(0.2, market.drive, [order.id])
    driver.start()
    seen = [first, *events]
    driver.join()
    assert seen == market.events(order.id)
    assert [event["kind"]["state"] for event in seen if event["kind"]["event"] == "order"] == [
        "accepted", "provisioning", "committed",
    ]  # fmt: skip
    assert list(events) == []
    with pytest.raises(fulcrum_market.OrderNotFoundError):
        market.follow(ID)


def test_threads_share_a_market(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    orders: list[fulcrum_market.Order] = []
    threads = [threading.Thread(target=lambda: orders.append(market.purchase(plan))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({order.id for order in orders}) == 8 and all(order.is_committed for order in orders)


async def test_awaited(config: Config) -> None:
    market = await fulcrum_market.AsyncFederation.create(config)
    assert len(await market.refresh()) == 2
    plan = await market.compose(SHOP, timeout=10)
    assert plan.monthly == Decimal("22.5")
    order = await market.accept(plan)
    driven = asyncio.ensure_future(market.drive(order.id))
    states = [
        event["kind"]["state"] async for event in market.follow(order.id) if event["kind"]["event"] == "order"
    ]
    assert states == ["accepted", "provisioning", "committed"]
    assert (await driven).is_committed
    ended = await market.cancel(order.id)
    assert ended.state == "ended"
    assert (await market.reconcile())["findings"] == []
    with pytest.raises(fulcrum_market.DocumentError):
        await market.compose("name: [")


async def test_awaited_progress_is_told_and_its_failure_ends_the_search(config: Config) -> None:
    market = await fulcrum_market.AsyncFederation.create(config)
    await market.refresh()
    assert [source["state"] for source in market.sources] == ["fresh", "fresh"]
    seen: list[tuple[int, int]] = []

    def watch(incumbent: Decimal | None, bound: Decimal | None, nodes: int) -> None:
        seen.append((nodes, threading.get_ident()))

    plan = await market.compose(SHOP, progress=watch)
    assert plan == await market.compose(SHOP)
    assert seen and all(thread != threading.get_ident() for _, thread in seen)

    def fail(*_: object) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await market.compose(SHOP, progress=fail)
    with pytest.raises(fulcrum_market.DocumentError):
        await market.compose("name: [", progress=watch)


async def test_a_cancelled_purchase_is_taken_up_again(config: Config) -> None:
    config["providers"][0]["sandbox"]["operation_ms"] = [2000, 2000]
    market = await fulcrum_market.AsyncFederation.create(config)
    await market.refresh()
    task = asyncio.ensure_future(market.purchase(await market.compose(SHOP), id=ID))
    before = None
    while before is None or before.state != "provisioning":
        await asyncio.sleep(0.01)
        before = await market.order(ID)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(600):  # until the cancelled driver has let go
        try:
            orders = await market.resume()
        except fulcrum_market.OrderBusyError:
            orders = []
        order = await market.order(ID)
        if order is not None and order.is_committed:
            break
        await asyncio.sleep(0.1)
    assert order is not None and order.is_committed, orders
    assert (await market.reconcile())["findings"] == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_purchase_and_leaves_a_resumable_order(config: Config, tmp_path: Path) -> None:
    config["providers"][0]["sandbox"] |= {"operation_ms": [20000, 20000], "state": str(tmp_path / "cloud")}
    program = tmp_path / "buy.py"
    program.write_text(
        "import json, sys, fulcrum_market\n"
        "config, shop = json.load(sys.stdin)\n"
        "market = fulcrum_market.Federation(config); market.refresh()\n"
        "plan = market.compose(shop)\n"
        "print('buying', flush=True)\n"
        f"market.purchase(plan, id={ID!r})\n"
    )
    def listen() -> None:
        # Where tests run in the background, SIGINT is ignored, and children would inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, program], stdin=pipe, stdout=pipe, stderr=pipe, preexec_fn=listen)
    assert child.stdin and child.stdout and child.stderr
    child.stdin.write(json.dumps([config, SHOP]).encode())
    child.stdin.close()
    assert child.stdout.readline() == b"buying\n"
    watch, order = fulcrum_market.Federation(config), None
    while order is None or order.state != "provisioning":
        assert child.poll() is None, child.stderr.read()
        threading.Event().wait(0.05)
        order = watch.order(ID)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) != 0
    assert b"KeyboardInterrupt" in child.stderr.read()
    child.stdout.close()
    child.stderr.close()
    order = watch.order(ID)
    assert order is not None and order.state == "provisioning"


def test_the_twins_have_the_same_methods() -> None:
    def names(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("__")}

    assert names(fulcrum_market.AsyncFederation) - {"create"} == names(fulcrum_market.Federation)


def test_says_why(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    said = market.explain(SHOP, plan)
    assert said.is_complete and said.unit == "EUR"
    assert [(b.condition.split(":")[0], b.costs) for b in said.binding] == [("constraints[0]", Decimal("2.5"))]
    assert [(r.without, r.plan) for r in said.runners_up] == [("alpha", None), ("beta", None)]
    assert "constraints[0]" in str(said)
    assert market.why_not(SHOP, plan, "alpha/r1/none").reasons == ("the catalogue has no such offer",)
    assert market.why_not(SHOP, plan, "alpha/r1/0012").reasons == ("the plan uses it",)
    with pytest.raises(errors.FulcrumError):
        market.explain(dict(SHOP, name="other"), plan)


def test_trades_one_measure_for_another(market: fulcrum_market.Federation) -> None:
    blueprint = {"name": "two", "components": {"web": {"vcpu": 2, "replicas": 2}}, "constraints": [
        {"spread": {"components": ["web"], "over": "provider", "max_percent": 100}}
    ]}  # fmt: skip
    plans = market.pareto(blueprint, ("cost", "providers"))
    assert [plan.monthly for plan in plans] == [Decimal(20)]
    with pytest.raises(ValueError, match="not a measure"):
        market.pareto(blueprint, ("cost", "beauty"))


def test_says_why_awaited(config: Config) -> None:
    async def ask() -> tuple[bool, tuple[str, ...], int]:
        market = await fulcrum_market.AsyncFederation.create(config)
        await market.refresh()
        plan = await market.compose(SHOP)
        said = await market.explain(SHOP, plan)
        why = await market.why_not(SHOP, plan, "beta/r1/0012")
        return said.is_complete, why.reasons, len(await market.pareto(SHOP, ("cost", "providers")))

    assert asyncio.run(ask()) == (True, ("the plan uses it",), 1)


def test_orders_come_in_pages_newest_first(config: Config) -> None:
    market = fulcrum_market.Federation(config)
    market.refresh()
    plan = market.compose(SHOP)
    made = [market.purchase(plan).id for _ in range(3)]
    first = market.orders(limit=2)
    rest = market.orders(limit=2, before=first[-1].id)
    assert [order.id for order in first + rest] == made[::-1]
    assert market.orders(before=rest[-1].id) == []
    assert len(market.orders(state="committed")) == 3
    assert market.orders(state="stuck") == market.orders(unfinished=True) == []
    for wrong in ({"state": "lost"}, {"before": ""}):
        with pytest.raises(ValueError):
            market.orders(**wrong)  # type: ignore[arg-type]


async def test_a_loop_reads_orders_too(config: Config) -> None:
    market = await fulcrum_market.AsyncFederation.create(config)
    await market.refresh()
    order = await market.purchase(await market.compose(SHOP))
    assert [each.id for each in await market.orders(state="committed")] == [order.id]
