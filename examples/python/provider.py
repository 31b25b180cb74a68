"""A cloud of one's own as a provider: a handful of machines in a rack, sold with everything that the library promises.

    python provider.py        # runs the conformance suite, then buys two machines
"""

from __future__ import annotations

import threading
from typing import Any, Iterator, Optional

import fulcrum_market


class Rack(fulcrum_market.Provider):
    """Machines by name: the name is the key, so the same request twice is the same machine."""

    document = {
        "id": "rack",
        "name": "Our rack",
        "legal_name": "Example GmbH",
        "country": "DE",
        "regions": [{"id": "basement", "country": "DE"}],
    }
    idempotency = {
        "provision": {"class": "natural"},
        "act": {"class": "natural"},
        "release": {"class": "natural"},
    }
    poll_interval_ms = 10

    def __init__(self, machines: int = 4) -> None:
        self.free = machines
        self.machines: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def offers(self, filter: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {
            "kind": "machine", "sku": "blade", "region": "basement", "vcpu": 8, "memory_mib": 32768, "disk_gib": 500,
            "monthly": "39.00", "currency": "EUR", "tax": "net", "stock": self.free, "observed": "2026-11-25",
            "source": "our own price list",
        }  # fmt: skip

    def provision(self, request: dict[str, Any], key: str) -> str:
        with self.lock:
            if key not in self.machines:
                if self.free == 0:
                    raise fulcrum_market.CapacityError("the rack is full")
                self.free -= 1
                self.machines[key] = {
                    "id": key, "key": key, "sku": request["sku"], "region": "basement", "status": "running",
                    "attributes": {"ip": f"10.0.0.{len(self.machines) + 10}"},
                }  # fmt: skip
        return f"make {key}"

    def find_by_key(self, key: str) -> Optional[dict[str, Any]]:
        return self.machines.get(key)

    def describe(self, service: str) -> Optional[dict[str, Any]]:
        return self.machines.get(service)

    def services(self) -> list[dict[str, Any]]:
        return list(self.machines.values())

    def act(self, service: str, action: Any, key: str) -> str:
        if service not in self.machines:
            raise fulcrum_market.NotFoundError(service)
        if action not in ("start", "stop"):
            raise fulcrum_market.UnsupportedError("a blade is what it is")
        self.machines[service]["status"] = "running" if action == "start" else "stopped"
        return f"make {service}"

    def release(self, service: str, key: str) -> str:
        with self.lock:
            if self.machines.pop(service, None) is not None:
                self.free += 1
        return f"end {service}"

    async def poll(self, operation: str) -> dict[str, Any]:
        verb, _, name = operation.partition(" ")
        if verb not in ("make", "end"):
            raise fulcrum_market.NotFoundError(operation)
        return {"status": "succeeded", "service": self.machines.get(name) if verb == "make" else None}


def main() -> None:
    rack = Rack()
    market = fulcrum_market.Federation({"ledger": ":memory:", "providers": []}, providers=[rack])
    report = market.run_conformance("rack", sku="blade", timeout=5)
    print(report["text"])
    if not report["is_passed"]:
        raise SystemExit("the rack does not do what it declares")
    market.refresh()
    plan = market.compose("{ name: app, components: { web: { vcpu: 8, replicas: 2 } } }")
    order = market.purchase(plan)
    print(f"{order.state}: {len(rack.machines)} machines, {plan.monthly} a month")


if __name__ == "__main__":
    main()
