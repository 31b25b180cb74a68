"""Providers that are written in Python."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import fulcrum_market

_SOURCE = Path(__file__).parents[2] / "examples" / "python" / "provider.py"
_SPEC = importlib.util.spec_from_file_location("provider_example", _SOURCE)
assert _SPEC is not None and _SPEC.loader is not None
example = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(example)

CONFIG: dict[str, Any] = {"ledger": ":memory:", "providers": []}
APP = "{ name: app, components: { web: { vcpu: 8, replicas: 3 } } }"


def market_of(rack: fulcrum_market.Provider) -> fulcrum_market.Federation:
    return fulcrum_market.Federation(CONFIG, providers=[rack])


def test_the_example_keeps_every_promise() -> None:
    rack = example.Rack()
    report = market_of(rack).run_conformance("rack", sku="blade", timeout=5)
    assert report["is_passed"], report["text"]
    assert {check["outcome"] for check in report["checks"]} == {"passed", "skipped"}
    assert rack.machines == {} and rack.free == 4
    with pytest.raises(fulcrum_market.NotFoundError):
        market_of(rack).run_conformance("rack", sku="none")


def test_a_wrong_declaration_is_caught() -> None:
    class Careless(example.Rack):  # type: ignore[misc, name-defined]
        def provision(self, request: dict[str, Any], key: str) -> str:
            name = f"{key}-{len(self.machines)}"
            self.machines[name] = {
                "id": name, "key": key, "sku": "blade", "region": "basement", "status": "running",
            }  # fmt: skip
            return f"make {name}"

        def find_by_key(self, key: str) -> Any:
            return next((it for it in self.machines.values() if it["key"] == key), None)

    report = market_of(Careless()).run_conformance("rack", sku="blade", timeout=5)
    failed = [check["name"] for check in report["checks"] if check["outcome"] == "failed"]
    assert "the same key twice makes one service" in failed, report["text"]


def test_an_exception_after_the_purchase_buys_nothing_twice(caplog: pytest.LogCaptureFixture) -> None:
    class Dying(example.Rack):  # type: ignore[misc, name-defined]
        asked = 0

        def provision(self, request: dict[str, Any], key: str) -> str:
            handle = super().provision(request, key)
            self.asked += 1
            if self.asked == 2:
                raise KeyError("canary-secret")
            return str(handle)

    rack = Dying()
    market = market_of(rack)
    market.refresh()
    with caplog.at_level(logging.ERROR, logger="fulcrum_market"):
        order = market.purchase(market.compose(APP))
    assert order.state == "committed" and len(rack.machines) == 3
    assert "Dying.provision failed" in caplog.text
    told = " ".join(str(event) for event in market.export(order.id)["events"])
    assert "KeyError" not in told or "canary-secret" not in told


def test_a_machine_of_two_calls_survives_a_lost_answer() -> None:
    class Slow(example.Rack):  # type: ignore[misc, name-defined]
        def provision(self, request: dict[str, Any], key: str) -> str:
            super().provision(request, key)
            self.machines[key]["status"] = "starting"
            raise ConnectionError("the answer is lost, and nobody will start it")

        def resume_operation(self, request: dict[str, Any], service: dict[str, Any]) -> str:
            assert request["sku"] == service["sku"] and service["status"] == "starting"
            return f"start {service['id']}"

        async def poll(self, operation: str) -> Any:
            if operation.startswith("start "):
                name = operation.partition(" ")[2]
                self.machines[name]["status"] = "running"
                return {"status": "succeeded", "service": self.machines[name]}
            return await super().poll(operation)

    rack = Slow()
    market = market_of(rack)
    market.refresh()
    order = market.purchase(market.compose(APP), policy={"step_timeout_s": 10})
    assert order.state == "committed" and len(rack.machines) == 3, order.reason


def test_what_is_refused_is_an_exception_of_the_library() -> None:
    rack = example.Rack(machines=3)
    market = market_of(rack)
    market.refresh()
    plan = market.compose(APP)
    rack.free = 2
    order = market.purchase(plan)
    assert order.state == "failed" and "sold out" in str(order.reason)
    assert rack.machines == {} and rack.free == 2


def test_asyncio_and_coroutines_work_too() -> None:
    rack = example.Rack()

    async def main() -> None:
        market = await fulcrum_market.AsyncFederation.create(CONFIG, providers=[rack])
        await market.refresh()
        order = await market.purchase(await market.compose(APP))
        assert order.state == "committed"
        assert (await market.run_conformance("rack"))["is_passed"]

    asyncio.run(main())
    assert len(rack.machines) == 3


def test_what_is_no_provider_is_refused() -> None:
    with pytest.raises(TypeError, match="fulcrum_market.Provider"):
        fulcrum_market.Federation(CONFIG, providers=[object()])  # type: ignore[list-item]

    class Nameless(fulcrum_market.Provider):
        document = {"name": "no id"}

    with pytest.raises(fulcrum_market.DocumentError, match="id"):
        market_of(Nameless())

    class OffersOnly(fulcrum_market.Provider):
        document = example.Rack.document

        def offers(self, filter: dict[str, Any]) -> Any:
            return []

    report = market_of(OffersOnly()).run_conformance("rack", timeout=5)
    assert report["is_passed"], report["text"]


# --- What it raises and answers


class Failing(example.Rack):  # type: ignore[misc, name-defined]
    """Raises what it is given where something is to be bought."""

    failure: BaseException

    def provision(self, request: dict[str, Any], key: str) -> str:
        raise self.failure


def failed(failure: BaseException) -> tuple[fulcrum_market.Order, str]:
    rack = Failing()
    rack.failure = failure
    market = market_of(rack)
    market.refresh()
    order = market.purchase(market.compose(APP), {"step_timeout_s": 1, "compensation_timeout_s": 1})
    return order, json.dumps(market.export(order.id))


class Login(BaseException):
    pass


@pytest.mark.parametrize(
    "failure",
    [SystemExit("login with canary-secret"), Login("canary-secret"), OSError("canary-secret"), KeyboardInterrupt("canary-secret")],
)  # fmt: skip
def test_what_a_method_raises_is_told_by_its_class_alone(failure: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    order, told = failed(failure)
    assert "canary-secret" not in told and "canary-secret" not in str(order.reason)
    assert type(failure).__name__ in told
    assert "canary-secret" in caplog.text, "the host's own log has all of it"


class SoldOut(fulcrum_market.CapacityError):
    pass


class Wordless(fulcrum_market.CapacityError):
    def __str__(self) -> str:
        raise KeyboardInterrupt("canary-secret")


def with_pause(after: Any) -> fulcrum_market.CapacityError:
    error = fulcrum_market.CapacityError("out")
    error.retry_after = after  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    "failure",
    [SoldOut("out"), Wordless(), fulcrum_market.CapacityError("caf\udce9"), with_pause(float("nan")), with_pause(float("inf")),
     with_pause(-1), with_pause(1e300), with_pause(timedelta(seconds=3)), with_pause("soon")],
)  # fmt: skip
def test_a_refusal_is_one_whatever_its_class_and_words_are(failure: fulcrum_market.CapacityError) -> None:
    order, told = failed(failure)
    assert order.state == "failed" and len(order.sold_out) == 1, order.reason
    assert "canary-secret" not in told


def test_a_list_that_never_ends_is_refused_before_it_fills_the_memory() -> None:
    taken = 0

    class Endless(example.Rack):  # type: ignore[misc, name-defined]
        def services(self) -> Any:
            nonlocal taken
            while True:
                taken += 1
                yield {"id": "a", "key": None, "sku": "blade", "region": "basement", "status": "running"}

    found = market_of(Endless()).reconcile()
    assert "more than 100000 items" in str(found["failed"]), found["failed"]
    assert taken == 100_001, "it is taken once, and no further"

    class Large(example.Rack):  # type: ignore[misc, name-defined]
        async def offers(self, filter: dict[str, Any]) -> Any:
            nonlocal taken
            taken = 0
            while True:
                taken += 1
                yield {"sku": "x" * (32 << 20)}

    market = market_of(Large())
    market.refresh()
    assert "256 MiB" in str(market.sources) and taken < 10, market.sources


def test_settings_are_a_list_of_names() -> None:
    class Worded(example.Rack):  # type: ignore[misc, name-defined]
        settings = "image"

    with pytest.raises(TypeError, match="settings: write a list of names"):
        market_of(Worded())


def test_what_cannot_be_held_says_why() -> None:
    class Holding(example.Rack):  # type: ignore[misc, name-defined]
        idempotency = {**example.Rack.idempotency, "reserve": {"class": "natural"}, "unreserve": {"class": "natural"}}

        def reserve(self, request: dict[str, Any], key: str) -> Any:
            return datetime.now() + timedelta(hours=1)

        def unreserve(self, key: str) -> None:
            pass

    market = market_of(Holding())
    market.refresh()
    order = market.purchase(market.compose(APP), {"step_timeout_s": 1, "compensation_timeout_s": 1})
    assert re.search(r"not reserved within 1 s .*(offset|zone)", str(order.reason)), order.reason


# --- The way out of what is sold out


def test_what_is_sold_out_can_be_left_out_of_the_next_plan() -> None:
    class Two(example.Rack):  # type: ignore[misc, name-defined]
        def offers(self, filter: dict[str, Any]) -> Any:
            for row in super().offers(filter):
                yield row
                yield {**row, "sku": "large", "monthly": "80.00"}

        def provision(self, request: dict[str, Any], key: str) -> str:
            if request["sku"] == "blade":
                raise fulcrum_market.CapacityError("out")
            return str(super().provision(request, key))

    market = market_of(Two())
    market.refresh()
    order = market.purchase(market.compose(APP))
    assert order.state == "failed" and order.sold_out == {"rack/basement/blade"}
    gone = order.sold_out
    for exclude in (gone, frozenset(gone), list(gone), tuple(gone), (it for it in gone), dict.fromkeys(gone).keys()):
        assert {lease.sku for lease in market.compose(APP, exclude=exclude).leases} == {"large"}

    async def main() -> None:
        own = await fulcrum_market.AsyncFederation.create(CONFIG, providers=[Two()])
        await own.refresh()
        assert {lease.sku for lease in (await own.compose(APP, exclude=gone)).leases} == {"large"}
        with pytest.raises(fulcrum_market.InfeasibleError):
            await own.compose(APP, exclude_providers={"rack"})

    asyncio.run(main())
    with pytest.raises(fulcrum_market.InfeasibleError):
        market.compose(APP, exclude_providers={"rack"})
    for wrong in ("rack/basement/blade", 5, [5]):
        with pytest.raises(TypeError, match="exclude: write a list or set of ids"):
            market.compose(APP, exclude=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exclude"):
        market.compose(APP, exclude=[""])
