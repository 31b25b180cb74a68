"""What opens a service is shown to whoever asks for it, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from conftest import Config

import fulcrum_market
from fulcrum_market import errors

APP: dict[str, Any] = {
    "name": "app",
    "components": {
        "db": {"kind": "database"},
        "web": {"vcpu": 2, "after": ["db"], "settings": {"user_data": "${db.user}:${db.password}"}},
    },
}


@pytest.fixture
def with_databases(config: Config, tmp_path: Path) -> Config:
    path = tmp_path / "catalogue.json"
    catalogue = json.loads(path.read_text())
    offers = catalogue["providers"][0]["offers"]
    offers.append({**offers[0], "kind": "database", "sku": "db", "monthly": "8"})
    path.write_text(json.dumps(catalogue))
    del config["providers"][0]["sandbox"]["settings"]
    return config


def step_of(order: fulcrum_market.Order, sku: str) -> int:
    return next(step["index"] for step in order.to_dict()["steps"] if step["lease"]["sku"] == sku)


def test_a_secret_is_revealed_and_not_shown(with_databases: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    market = fulcrum_market.Federation(with_databases)
    market.refresh()
    with caplog.at_level(logging.DEBUG):
        order = market.purchase(market.compose(APP))
        assert order.state == "committed", order.reason
        access = market.access(order.id, step_of(order, "db"))
    assert access.names == ["database", "host", "password", "port", "user"]
    assert len(access) == 5 and "password" in access and "token" not in access
    secret = access.reveal("password")
    assert access.reveal("user") == "admin" and len(secret) == 24
    with pytest.raises(KeyError):
        access.reveal("token")
    told = [repr(access), str(access), str(order.to_dict()), str(market.export(order.id)), caplog.text]
    assert not any(secret in text for text in told)
    assert not any(secret.encode() in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())

    with pytest.raises(errors.UnsupportedError):
        market.access(order.id, step_of(order, "0012"))
    with pytest.raises(errors.PurchaseError):
        market.access(order.id, 7)

    async def main() -> str:
        again = await fulcrum_market.AsyncFederation.create(with_databases)
        return (await again.access(order.id, step_of(order, "db"))).reveal("user")

    # Another sandbox: it does not know the service.
    with pytest.raises(errors.NotFoundError):
        asyncio.run(main())


class Vault(fulcrum_market.Provider):
    document = {
        "id": "vault", "name": "Vault", "legal_name": "Vault", "country": "DE", "regions": [{"id": "r", "country": "DE"}],
    }  # fmt: skip
    idempotency = {"provision": {"class": "natural"}, "release": {"class": "natural"}}
    answer: Any = {"user": "ana", "password": "canary-secret"}

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}

    def offers(self, filter: dict[str, Any]) -> Any:
        return [{
            "kind": "database", "sku": "db", "region": "r", "vcpu": 2, "memory_mib": 4096, "disk_gib": 40, "monthly": "8",
            "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test",
        }]  # fmt: skip

    def provision(self, request: dict[str, Any], key: str) -> str:
        self.made[key] = {"id": key, "key": key, "sku": "db", "region": "r", "status": "running"}
        return key

    def find_by_key(self, key: str) -> Any:
        return self.made.get(key)

    def describe(self, service: str) -> Any:
        return self.made.get(service)

    def services(self) -> Any:
        return list(self.made.values())

    def access(self, service: str) -> Any:
        return self.answer

    def release(self, service: str, key: str) -> str:
        self.made.pop(service, None)
        return "gone " + service

    def poll(self, operation: str) -> Any:
        return {"status": "succeeded", "service": self.made.get(operation)}


def test_a_provider_of_the_hosts_own_gives_secrets_too() -> None:
    vault = Vault()
    market = fulcrum_market.Federation({"ledger": ":memory:", "providers": []}, providers=[vault])
    market.refresh()
    order = market.purchase(market.compose({"name": "app", "components": {"db": {"kind": "database"}}}))
    assert order.state == "committed", order.reason
    assert market.access(order.id, 0).reveal("password") == "canary-secret"
    for wrong in ["canary-secret", ["canary-secret"], {"password": {"x": "canary-secret"}}, {"password": 7}]:
        vault.answer = wrong
        with pytest.raises(errors.FulcrumError) as refused:
            market.access(order.id, 0)
        assert "canary" not in str(refused.value)
