"""What the wheel brings: a whole first day without a network, from anywhere."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import fulcrum_market
from fulcrum_market import examples

REPOSITORY = Path(__file__).resolve().parents[2] / "examples"


def test_the_first_day_is_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(examples)
    assert (found.failed, found.attempted) == (0, 7)
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_the_wheel_has_each_file_of_the_folder() -> None:
    for ours, theirs in (
        (examples.CATALOGUE, REPOSITORY / "catalogue"),
        (examples.RATES.parent, REPOSITORY / "rates"),
        (examples.BLUEPRINTS, REPOSITORY / "blueprints"),
    ):
        files = {file.name: file.read_bytes() for file in theirs.iterdir()}
        assert {file.name: file.read_bytes() for file in ours.iterdir()} == files and files


def test_every_blueprint_has_a_plan() -> None:
    with examples.market() as market:
        for name in examples.blueprints():
            assert market.compose(examples.blueprint(name), timeout=60).leases
    with pytest.raises(LookupError, match="three-tier"):
        examples.blueprint("none")


def test_orders_stay_in_a_ledger_that_is_named(tmp_path: Path) -> None:
    with examples.market(tmp_path / "orders.db") as market:
        order = market.purchase(market.compose({"name": "one", "components": {"web": {"vcpu": 2, "memory_mib": 4096}}}))
    with pytest.raises(ValueError, match="closed"):
        market.orders()
    assert repr(market) == "<fulcrum_market.Federation: closed>"
    with fulcrum_market.Federation(examples.config(tmp_path / "orders.db"), reach={"trusted": True}) as again:
        assert again.orders() == [order]
