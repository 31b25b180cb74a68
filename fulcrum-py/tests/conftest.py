"""A market of two sandbox clouds whose prices are written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

Config = dict[str, Any]


def provider(name: str, monthly: str) -> dict[str, Any]:
    offer = {
        "kind": "machine", "sku": "0012", "region": "r1", "vcpu": 2, "memory_mib": 4096, "disk_gib": 40,
        "monthly": monthly, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test",
    }  # fmt: skip
    return {
        "id": name, "name": name, "legal_name": name, "country": "DE",
        "regions": [{"id": "r1", "country": "DE"}], "offers": [offer],
    }  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    # A configuration that is given as such reads and writes below the working folder.
    monkeypatch.chdir(tmp_path)
    catalogue = {
        "format": "fulcrum-catalogue/1",
        "providers": [provider("alpha", "10.00"), provider("beta", "12.5")],
    }
    (tmp_path / "catalogue.json").write_text(json.dumps(catalogue))
    sandbox = {"catalogue": str(tmp_path / "catalogue.json"), "seed": 7, "operation_ms": [5, 20], "settings": ["image", "it"]}
    return {"ledger": str(tmp_path / "orders.db"), "providers": [{"sandbox": sandbox}]}


SHOP: dict[str, Any] = {
    "name": "shop",
    "components": {"web": {"vcpu": 2, "memory_mib": 4096, "replicas": 2}},
    "constraints": [{"survive": {"components": ["web"], "loss_of": "provider"}}],
}
