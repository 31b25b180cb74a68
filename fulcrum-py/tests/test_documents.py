"""Documents as Python values and files: what has a form is taken as it is meant, all else is refused with its place."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import os
import uuid
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from conftest import SHOP, Config

import fulcrum_market


@pytest.fixture
def market(config: Config) -> fulcrum_market.Federation:
    market = fulcrum_market.Federation(config)
    market.refresh()
    return market


class Whole:
    """A whole number as other libraries have them, such as numpy.int64."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Size(enum.IntEnum):
    TWO = 2


class Word(str):
    """Such as numpy.str_."""


class Kind(enum.Enum):
    MACHINE = "machine"


def shop(**more: Any) -> dict[str, Any]:
    return dict(SHOP, components={"web": dict(SHOP["components"]["web"], **more)})


def settings(market: fulcrum_market.Federation, value: Any) -> Any:
    plan = market.compose(shop(settings={"it": value}))
    return plan.leases[0].settings["it"]


def test_numbers_of_any_library_are_numbers(market: fulcrum_market.Federation) -> None:
    plan = market.compose(SHOP)
    for two in (Whole(2), Size.TWO, Decimal(2), Decimal("2.000")):
        assert market.compose(shop(vcpu=two)).leases == plan.leases
    assert market.compose(shop(replicas=Whole(2))).leases == plan.leases
    for value in (7, Whole(7), 2**63, -(2**63), 1.5, "text", Word("text"), True, ["a", 1, None, {"b": [2]}]):
        meant = value.value if isinstance(value, Whole) else value
        assert settings(market, value) == meant
    assert settings(market, ("a", 1)) == ["a", 1]


def test_what_has_one_text_is_that_text(market: fulcrum_market.Federation) -> None:
    some = uuid.UUID("018f2f5e-0000-7000-8000-000000000000")
    for value, text in (
        (Decimal("1.50"), "1.50"),
        (datetime.date(2026, 11, 20), "2026-11-20"),
        (datetime.datetime(2026, 11, 20, 1, tzinfo=datetime.timezone.utc), "2026-11-20T01:00:00+00:00"),
        (Path("a/b"), "a/b"),
        (some, str(some)),
        (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    ):
        assert settings(market, value) == text
    assert settings(market, {1: "by number"}) == {"1": "by number"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"debian", "a value of type bytes has no form in a document"),
        (bytearray(b"debian"), "type bytearray"),
        ({"a"}, "type set"),
        (object(), "type object"),
        (int, "type type"),
        (Path, "type "),
        (datetime.date, "type type"),
        (Kind.MACHINE, "type Kind"),
        (Fraction(1, 3), "type Fraction"),
        (1j, "type complex"),
        (lambda: 1, "type function"),
        (float("nan"), "beyond all numbers"),
        (float("inf"), "beyond all numbers"),
        (Decimal("NaN"), "NaN is not a valid amount"),
        ("\ud800", "not Unicode"),
        ({b"name": 1}, "a name of type bytes"),
        ({None: 1}, "a name of type NoneType"),
        ({True: 1}, "a name of type bool"),
    ],
)
def test_what_has_no_form_is_refused_with_its_place(market: fulcrum_market.Federation, value: Any, words: str) -> None:
    with pytest.raises(fulcrum_market.DocumentError) as caught:
        market.compose(shop(settings={"list": [1, {"image": value}]}))
    text = str(caught.value)
    assert text.startswith("components.web.settings.list[1].image: ") and words in text, text
    assert caught.value.code == 401


def test_what_holds_itself_is_refused(market: fulcrum_market.Federation) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(fulcrum_market.DocumentError, match="too deep, or holds itself"):
        market.compose(shop(settings={"loop": loop}))


def test_every_document_is_read_so(market: fulcrum_market.Federation, config: Config) -> None:
    plan = market.compose(SHOP)
    for call in (
        lambda: fulcrum_market.Federation({"ledger": b":memory:", "providers": []}),
        lambda: market.purchase(plan, {"step_timeout_s": b"5"}),
        lambda: market.catalogue.query({"limit": b"1"}),
        lambda: market.run_conformance("alpha", settings={"image": b"x"}),
    ):
        with pytest.raises(fulcrum_market.DocumentError, match="type bytes"):
            call()
    # As a dict does, a path may stand in it.
    assert fulcrum_market.Federation(dict(config, ledger=Path(config["ledger"]))).catalogue.sources == []
    assert len(market.catalogue.query({"limit": Whole(1)})) == 1


def test_a_file_that_is_not_utf_8_is_named(market: fulcrum_market.Federation, tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    text = "name: shop\ncomponents: { web: { vcpu: 2 } } # für\n"
    for encoding, words in (
        ("utf-16", "the text is UTF-16"),
        ("utf-16-le", "the text is UTF-16"),
        ("utf-32", "the text is UTF-16"),
        ("latin-1", "line 2: the text is not UTF-8; save it as UTF-8"),
    ):
        path.write_text(text, encoding=encoding)
        with pytest.raises(fulcrum_market.DocumentError) as caught:
            market.compose(path)
        assert str(caught.value).startswith(f"{path}: {words}"), str(caught.value)
    path.write_text(text, encoding="utf-8-sig")
    assert market.compose(path).leases
    none = tmp_path / "none.yaml"
    with pytest.raises(FileNotFoundError) as refused:
        market.compose(none)
    assert refused.value.filename == str(none) and refused.value.errno


@pytest.mark.skipif(os.name != "posix", reason="there are no such files elsewhere")
def test_what_is_no_file_is_refused_at_once(market: fulcrum_market.Federation, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, words in ((tmp_path, "it is a folder"), (pipe, "it is a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(fulcrum_market.DocumentError) as caught:
            market.compose(path)
        assert str(path) in str(caught.value) and words in str(caught.value), str(caught.value)
        with pytest.raises(fulcrum_market.FulcrumError):
            fulcrum_market.Federation.open(path)


class Metal(fulcrum_market.Provider):
    """A cloud whose list has odd rows."""

    document = {
        "id": "metal", "name": "Metal", "legal_name": "Metal GmbH", "country": "DE",
        "regions": [{"id": "r1", "country": "DE"}],
    }  # fmt: skip

    def __init__(self, *odd: Any) -> None:
        self.odd = odd

    def offers(self, filter: dict[str, Any]) -> Any:
        row = {
            "kind": "machine", "sku": "s", "region": "r1", "vcpu": Whole(2), "memory_mib": 4096, "disk_gib": 40,
            "monthly": Decimal("5.00"), "currency": "EUR", "tax": "net", "source": "ours",
            "observed": datetime.date(2026, 11, 25),
        }  # fmt: skip
        yield row
        for odd in self.odd:
            yield {**row, **odd} if isinstance(odd, dict) else odd


def test_an_odd_row_of_a_provider_costs_itself_only() -> None:
    odd: tuple[tuple[Any, str], ...] = (
        ({"sku": b"bytes"}, "sku: a value of type bytes has no form"),
        ({"sku": "list", "vcpu": [2]}, "vcpu: write text or a number, not a list"),
        ({"sku": "none", "region": None}, "region: write text, not nothing"),
        ({"sku": "nan", "monthly": float("nan")}, "monthly: NaN is beyond all numbers"),
        ({"sku": "lev", "currency": "bgn"}, '"bgn" is not a currency of ISO 4217; write BGN'),
        (None, "not nothing"),
        (7, "not `7`"),
    )
    market = fulcrum_market.Federation({"ledger": ":memory:", "providers": []}, providers=[Metal(*(it for it, _ in odd))])
    assert len(market.refresh()) == 1
    (source,) = market.sources
    assert source["state"] == "fresh" and source["offers"] == 1 and source["rejected_count"] == len(odd)
    reasons = {row["row"]: row["reason"] for row in source["rejected"]}
    for at, (_, words) in enumerate(odd):
        assert any(name.startswith(f"rows[{at + 1}]") and words in why for name, why in reasons.items()), (at, reasons)


def test_an_empty_catalogue_says_why(config: Config) -> None:
    fault = {"call": "offers", "times": 100, "fault": "forbidden"}
    config["providers"][0]["sandbox"]["faults"] = [fault]
    market = fulcrum_market.Federation(config)
    with pytest.raises(fulcrum_market.InfeasibleError, match=r"the catalogue is empty: call refresh\(\)"):
        market.compose(SHOP)
    market.refresh()
    with pytest.raises(fulcrum_market.InfeasibleError, match="2 of 2 providers did not answer: alpha: .*; beta: "):
        market.compose(SHOP)
    with pytest.raises(fulcrum_market.InfeasibleError, match="2 of 2 providers did not answer"):
        market.pareto(SHOP, ("cost", "providers"))
    with pytest.raises(fulcrum_market.DocumentError, match="max_offer_age_hours"):
        fulcrum_market.Federation(dict(config, max_offer_age_hours=-1))


def test_a_dict_that_changes_while_it_is_read_is_read_as_it_was(market: fulcrum_market.Federation) -> None:
    class Growing:
        """A whole number that changes the document where it stands."""

        def __index__(self) -> int:
            machine[f"new{len(machine)}"] = 1
            return 2

    machine: dict[str, Any] = {"vcpu": Growing(), "memory_mib": 4096, "replicas": Growing()}
    assert market.compose({"name": "app", "components": {"web": machine}}).leases
    assert len(machine) == 5

    class Shrinking:
        def __index__(self) -> int:
            machine.clear()
            return 2

    machine = {"vcpu": Shrinking(), "memory_mib": 4096}
    assert market.compose({"name": "app", "components": {"web": machine}}).leases


def test_any_time_is_one_and_what_is_none_is_named(market: fulcrum_market.Federation) -> None:
    for seconds in (1e19, 1e300, float("inf")):
        assert market.compose(SHOP, timeout=seconds).leases
        assert market.run_conformance("alpha", timeout=seconds)["is_passed"]
        with pytest.raises(ZeroDivisionError):
            market.reconcile_every(seconds, lambda report: 1 // 0)
    for seconds in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="timeout: write seconds"):
            market.compose(SHOP, timeout=seconds)
        with pytest.raises(ValueError, match="timeout: write seconds"):
            market.run_conformance("alpha", timeout=seconds)
        with pytest.raises(ValueError, match="interval: write seconds"):
            market.reconcile_every(seconds, print)
