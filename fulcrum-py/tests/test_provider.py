"""Providers that are written in Python."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from pathlib import Path
from typing import Any

import pytest

import fulcrum

_SOURCE = Path(__file__).parents[2] / "examples" / "python" / "provider.py"
_SPEC = importlib.util.spec_from_file_location("provider_example", _SOURCE)
assert _SPEC is not None and _SPEC.loader is not None
example = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(example)

CONFIG: dict[str, Any] = {"ledger": ":memory:", "providers": []}
APP = "{ name: app, components: { web: { vcpu: 8, replicas: 3 } } }"


def market_of(rack: fulcrum.Provider) -> fulcrum.Federation:
    return fulcrum.Federation(CONFIG, providers=[rack])


def test_the_example_keeps_every_promise() -> None:
    rack = example.Rack()
    report = market_of(rack).check("rack", sku="blade", patience=5)
    assert report["is_passed"], report["text"]
    assert {check["outcome"] for check in report["checks"]} == {"passed", "skipped"}
    assert rack.machines == {} and rack.free == 4
    with pytest.raises(fulcrum.NotFoundError):
        market_of(rack).check("rack", sku="none")


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

    report = market_of(Careless()).check("rack", sku="blade", patience=5)
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
    with caplog.at_level(logging.ERROR, logger="fulcrum"):
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
        market = await fulcrum.AsyncFederation.create(CONFIG, providers=[rack])
        await market.refresh()
        order = await market.purchase(await market.compose(APP))
        assert order.state == "committed"
        assert (await market.check("rack"))["is_passed"]

    asyncio.run(main())
    assert len(rack.machines) == 3


def test_what_is_no_provider_is_refused() -> None:
    with pytest.raises(TypeError, match="fulcrum.Provider"):
        fulcrum.Federation(CONFIG, providers=[object()])  # type: ignore[list-item]

    class Nameless(fulcrum.Provider):
        document = {"name": "no id"}

    with pytest.raises(fulcrum.DocumentError, match="id"):
        market_of(Nameless())

    class OffersOnly(fulcrum.Provider):
        document = example.Rack.document

        def offers(self, filter: dict[str, Any]) -> Any:
            return []

    report = market_of(OffersOnly()).check("rack", patience=5)
    assert report["is_passed"], report["text"]
