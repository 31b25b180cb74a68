"""What begins only when it is awaited, buys once, and needs an approval."""

import asyncio
import gc
import warnings
from decimal import Decimal
from typing import Any, Dict, List, Optional

import fulcrum_market
import pytest

BLUEPRINT = {"name": "app", "components": {"web": {"vcpu": 1, "replicas": 1}}}


class Rack(fulcrum_market.Provider):
    """Counts what it is asked for."""

    poll_interval_ms = 5
    idempotency = {"provision": {"class": "natural"}, "release": {"class": "natural"}}
    document = {
        "id": "rack",
        "name": "rack",
        "legal_name": "Rack GmbH",
        "country": "DE",
        "regions": [{"id": "r1", "country": "DE"}],
    }

    def __init__(self) -> None:
        self.monthly = "10.00"
        self.asked: List[Any] = []
        self.machines: Dict[str, Any] = {}

    def offers(self, filter: Dict[str, Any]) -> Any:
        return [
            {
                "kind": "machine", "sku": "small", "region": "r1", "vcpu": 2, "memory_mib": 4096, "disk_gib": 40,
                "monthly": self.monthly, "currency": "EUR", "tax": "net", "observed": "2026-11-25", "source": "list",
            }
        ]

    def provision(self, request: Dict[str, Any], key: str) -> str:
        self.asked.append(request)
        service = {"id": key, "key": key, "sku": request["sku"], "region": "r1", "status": "running", "attributes": {}}
        self.machines.setdefault(key, service)
        return f"make {key}"

    def find_by_key(self, key: str) -> Optional[Dict[str, Any]]:
        return self.machines.get(key)

    def describe(self, service: str) -> Optional[Dict[str, Any]]:
        return self.machines.get(service)

    def services(self) -> List[Dict[str, Any]]:
        return list(self.machines.values())

    def release(self, service: str, key: str) -> str:
        self.machines.pop(service, None)
        return f"end {service}"

    def poll(self, operation: str) -> Dict[str, Any]:
        verb, _, name = operation.partition(" ")
        return {"status": "succeeded", "service": self.machines.get(name) if verb == "make" else None}


async def opened(rack: Rack) -> fulcrum_market.AsyncFederation:
    market = await fulcrum_market.AsyncFederation.create({"ledger": ":memory:", "providers": []}, providers=[rack])
    await market.refresh()
    return market


def test_a_purchase_that_nobody_awaits_buys_nothing() -> None:
    async def main() -> None:
        rack = Rack()
        market = await opened(rack)
        plan = await market.compose(BLUEPRINT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            pending = market.purchase(plan)
            del pending
            gc.collect()
        task = asyncio.create_task(market.purchase(plan))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.3)
        assert rack.asked == []
        order = await asyncio.create_task(market.purchase(plan))
        assert order.is_committed and len(rack.asked) == 1

    asyncio.run(main())


def test_a_dearer_price_buys_nothing_and_a_tolerated_one_is_told() -> None:
    rack = Rack()
    market = fulcrum_market.Federation({"ledger": ":memory:", "providers": []}, providers=[rack])
    market.refresh()
    plan = market.compose(BLUEPRINT)
    rack.monthly = "12.00"
    refused = market.purchase(plan)
    assert (refused.state, rack.asked) == ("refused", [])
    assert "price_tolerance_percent" in str(refused.reason)
    order = market.purchase(plan, {"price_tolerance_percent": 25})
    assert order.is_committed and order.plan.monthly == Decimal("10") and order.monthly == Decimal("12")
    assert rack.asked[0]["purchase_option"] == "on_demand"


def test_only_what_was_approved_is_bought_and_a_second_click_buys_nothing() -> None:
    rack = Rack()
    market = fulcrum_market.Federation({"ledger": ":memory:", "providers": []}, providers=[rack])
    market.refresh()
    plan, policy = market.compose(BLUEPRINT), {"max_total": 1000}
    digest = plan.approval_digest(policy)
    with pytest.raises(fulcrum_market.PurchaseError, match="was approved"):
        market.purchase(plan, {"max_total": 2000}, approved=digest)
    with pytest.raises(fulcrum_market.PurchaseError, match="max_total"):
        market.purchase(plan, {"max_total": 1})
    assert rack.asked == []
    name = "018F0A3C-7B1E-7000-8000-0123456789AB"
    first = market.purchase(plan, policy, id=name, approved=digest)
    again = market.purchase(plan, policy, id="018f0a3c7b1e700080000123456789ab", approved=digest)
    assert first.id == again.id == name.lower() and len(rack.asked) == 1
    ended = market.cancel(first.id, who="ada", why="no longer needed")
    cancellation = ended.to_dict().get("cancellation")
    assert ended.state == "ended" and cancellation and cancellation["by"] and cancellation["by"]["who"] == "ada"


@pytest.mark.parametrize("failure", [StopIteration("it"), StopAsyncIteration("it"), KeyError("it"), asyncio.InvalidStateError("it")])
def test_whatever_a_function_of_the_hosts_raises_ends_the_wait(failure: Exception) -> None:
    def fail(*_: Any) -> None:
        raise failure

    async def main() -> None:
        market = await opened(Rack())
        for call in (market.compose(BLUEPRINT, progress=fail), market.reconcile_every(1, fail)):
            with pytest.raises((type(failure), RuntimeError)) as caught:
                await asyncio.wait_for(call, 10)
            if isinstance(failure, StopIteration):
                assert caught.type is RuntimeError and caught.value.__cause__ is failure
            else:
                assert caught.value is failure

    asyncio.run(main())


def test_functions_that_nobody_would_await_are_refused() -> None:
    async def told(*_: Any) -> None:
        raise AssertionError("nobody awaits this")

    async def main() -> None:
        market = await opened(Rack())
        with pytest.raises(TypeError, match="report: write a plain function"):
            await market.reconcile_every(1, told)
        with pytest.raises(TypeError, match="progress: write a plain function"):
            await market.compose(BLUEPRINT, progress=told)  # type: ignore[arg-type]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
    market = fulcrum_market.Federation({"ledger": ":memory:", "providers": []}, providers=[Rack()])
    market.refresh()
    with pytest.raises(TypeError, match="report: write a plain function"):
        market.reconcile_every(1, told)
    with pytest.raises(TypeError, match="progress: write a plain function"):
        market.compose(BLUEPRINT, progress=told)  # type: ignore[arg-type]
