"""Offers side by side: one currency, the size that was asked for, and what there is where nothing fits."""

from __future__ import annotations

import copy
import datetime
import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas  # type: ignore[import-untyped]
import polars
import pyarrow  # type: ignore[import-untyped]
import pytest
from conftest import Config, provider

import fulcrum_market
from fulcrum_market import Offers, OfferKind, PricingCategory

RATES = "Date, USD, \n25 November 2026, 1.25, \n"


def row(sku: str, monthly: str, **more: Any) -> dict[str, Any]:
    machine = {
        "kind": "machine", "sku": sku, "region": "r1", "vcpu": 4, "memory_mib": 16384, "disk_gib": 40, "monthly": monthly,
        "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test",
    }  # fmt: skip
    return {**machine, **more}


def market_of(config: Config, *rows: dict[str, Any]) -> fulcrum_market.Federation:
    catalogue = Path(config["providers"][0]["sandbox"]["catalogue"])
    seller = {**provider("alpha", "1"), "offers": list(rows)}
    catalogue.write_text(json.dumps({"format": "fulcrum-catalogue/1", "providers": [seller]}))
    Path("rates.csv").write_text(RATES)
    market = fulcrum_market.Federation({**config, "rates": "rates.csv", "max_rates_age_days": 36500})
    market.refresh()
    return market


@pytest.fixture
def market(config: Config) -> fulcrum_market.Federation:
    return market_of(
        config,
        row("small", "10.00", vcpu=2, memory_mib=4096),
        row("dear", "40.00", architecture="arm64"),
        row("cheap", "25.00", currency="USD", once="2.50", observed="2026-10-05"),
        {k: v for k, v in row("disk", "0").items() if k not in ("monthly", "vcpu", "memory_mib", "disk_gib")}
        | {"kind": "block_storage", "unit": "GiB-month", "unit_price": "0.10"},
    )


def test_prices_are_in_one_currency_cheapest_first(market: fulcrum_market.Federation) -> None:
    offers = market.offers(kind="machine", vcpu=4, memory="16 GiB")
    assert [(offer.sku, offer.monthly, offer.currency) for offer in offers] == [
        ("cheap", Decimal(20), "EUR"),
        ("dear", Decimal(40), "EUR"),
    ]
    assert [offer.once for offer in offers] == [Decimal(2), Decimal(0)]
    assert offers[0].observed == datetime.date(2026, 10, 5)
    in_dollars = market.offers(kind=OfferKind.MACHINE, vcpu="4", memory="16 GB", currency="USD")
    assert [offer.monthly for offer in in_dollars] == [Decimal(25), Decimal(50)]
    assert market.catalogue.offers(kind="machine", vcpu=4, memory="16 GiB") == offers


def test_a_price_is_that_of_the_size_that_was_asked_for(market: fulcrum_market.Federation) -> None:
    monthly = {offer.sku: offer.monthly for offer in market.offers(kind=["block_storage"], disk="500 GiB")}
    assert monthly == {"disk": Decimal(50)}
    assert market.offers(kind="block_storage", disk="500 GiB", max_monthly=50)
    assert not market.offers(kind="block_storage", disk="501 GiB", max_monthly=50)


def test_keywords_and_where_are_the_query_document(market: fulcrum_market.Federation) -> None:
    skus = {offer["sku"] for offer in market.catalogue.query({"kinds": ["machine"], "at_least": {"vcpu_milli": 4000}})}
    assert {offer.sku for offer in market.offers(kind="machine", vcpu=4)} == skus == {"cheap", "dear"}
    for same in (
        {"attributes": {"architecture": "arm64"}}, {"where": {"attributes": {"architecture": "arm64"}}}, {"sku": "dear"},
        {"sku": ["dear", "none"]}, {"where": "skus: { allow: [dear] }"},
    ):  # fmt: skip
        assert [offer.sku for offer in market.offers(kind="machine", **same)] == ["dear"], same
    assert [offer.sku for offer in market.offers(kind="machine", sort="id", limit=1, offset=1)] == ["dear"]
    assert [offer.sku for offer in market.offers(kind="machine", first_per="provider")] == ["small"]
    assert market.offers(max_age=datetime.timedelta(days=36500)) == market.offers()


def test_what_is_wrong_is_named(market: fulcrum_market.Federation) -> None:
    for wrong, words in (
        ({"memory": "16"}, "16 GiB"), ({"memory": "16 gib"}, "16 GiB"), ({"kind": "server"}, "kind of offer"),
        ({"currency": "EURO"}, "currency"), ({"vcpu": "many"}, "vcpu"), ({"vcpu": -1}, "vcpu"), ({"gpu": -1}, "gpu"),
        ({"limit": "x"}, "limit"), ({"country": "Germany"}, "country"), ({"sort": "size"}, "sort"),
        ({"max_age": datetime.timedelta(days=-1)}, "max_age"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            market.offers(**wrong)
    for odd, words in (({"memory": 16}, "unit"), ({"vcpus": 4}, "vcpu"), ({"kind": 7}, "kind"),
                       ({"sku": "a", "where": {"skus": {"allow": ["b"]}}}, "one of them")):  # fmt: skip
        with pytest.raises(TypeError, match=words):
            market.offers(**odd)
    with pytest.raises(fulcrum_market.DocumentError):
        market.offers(where={"countires": {}})


def test_nothing_says_what_there_is(market: fulcrum_market.Federation, config: Config) -> None:
    none = market.offers(kind="machine", vcpu=4, attributes={"architecture": "riscv"})
    assert len(none) == 0 and none.no_match is not None
    (condition,) = none.no_match.conditions
    assert none.no_match.nearest == 2 and condition.condition == "where.attributes.architecture"
    assert condition.found == (("arm64", 1), ("no architecture", 1))
    assert "asks for riscv, and they have arm64 (1), no architecture (1)" in str(none.no_match)
    assert str(none.no_match) in repr(none) and str(none.no_match) in none._repr_html_()
    dear = market.offers(kind="machine", vcpu=4, max_monthly=19).no_match
    assert dear is not None and "they have 20 (1), 40 (1)" in str(dear), "the nearest comes first"
    large = market.offers(kind="machine", vcpu=64).no_match
    assert large is not None and "`at_least.vcpu` asks for 64 or more, and they have 4 (2), 2 (1)" in str(large)
    assert market.offers(kind="machine", offset=99).no_match is None, "there are some before it"
    empty = fulcrum_market.Federation(dict(config, ledger="other.db")).offers()
    assert "call refresh()" in str(empty.no_match)


def test_offers_are_a_sequence(market: fulcrum_market.Federation) -> None:
    offers = market.offers(kind="machine")
    assert len(offers) == 3 and [*offers] == [offers[0], offers[1], offers[2]] and offers[-1] == offers[2]
    assert isinstance(offers[1:], Offers) and [*offers[1:]] == [*offers][1:] and offers[::-1][0] == offers[2]
    assert offers[0] in offers and offers[:2] != offers and offers[:] == offers and offers != 3
    with pytest.raises(IndexError):
        offers[3]
    for copied in (copy.copy(offers), copy.deepcopy(offers), pickle.loads(pickle.dumps(offers))):
        assert copied == offers and repr(copied) == repr(offers)
    assert pickle.loads(pickle.dumps(offers[0])) == offers[0] != offers[1]
    with pytest.raises(AttributeError):
        offers[0].monthly = Decimal(1)  # type: ignore[misc]
    first = offers.to_dicts()[0]
    assert first["kind"] is OfferKind.MACHINE and first["monthly"] == Decimal(10) and len(first) == 25
    assert offers[0].pricing_category is PricingCategory.ON_DEMAND and f"{offers[0].kind}" == "machine"


def test_the_table_lines_up(market: fulcrum_market.Federation) -> None:
    head, rule, *lines = repr(market.offers(kind="machine")).splitlines()
    assert lines.pop() == f"3 offers, net; catalogue of {market.offers().day.isoformat()}"
    assert len(lines) == 3 and all(len(line) <= len(rule) for line in lines)
    end = head.index("EUR a month") + len("EUR a month")
    assert [line[:end].split()[-1] for line in lines] == ["10.00", "20.00", "40.00"]
    assert "GPU" not in head, "nobody has one"
    page = market.offers(kind="machine")._repr_html_()
    assert page.count("<tr>") == 4 and '<td style="text-align:right">20.00</td>' in page


def test_text_of_providers_is_no_markup(config: Config) -> None:
    market = market_of(config, row("<b>&x", "10.00"))
    assert "<b>" not in market.offers()._repr_html_() and "&lt;b&gt;&amp;x" in market.offers()._repr_html_()
    plan = market.compose({"name": "app", "components": {"web": {"vcpu": 2}}})
    assert "<b>" not in plan._repr_html_() and "&lt;b&gt;&amp;x" in plan._repr_html_()


def test_arrow_readers_see_each_value(market: fulcrum_market.Federation) -> None:
    offers = market.offers()
    rows = offers.to_dicts()
    table = pyarrow.table(offers)
    assert table.schema.field("monthly").type == pyarrow.decimal128(38, 6)
    assert table.schema.field("observed").type == pyarrow.date32() and table.schema.field("stock").nullable
    read = table.to_pylist()
    assert [dict(one, attributes=dict(one["attributes"])) for one in read] == rows
    assert table.to_pandas().shape == pandas.DataFrame(offers).shape == (4, 25)
    frame = polars.DataFrame(offers)
    assert frame["monthly"].to_list() == [offer.monthly for offer in offers]
    assert frame["monthly"].dtype == polars.Decimal(38, 6) and frame["observed"].dtype == polars.Date
    assert frame.filter(polars.col("vcpu") >= 4)["sku"].to_list() == ["cheap", "dear"]
    # The stream outlives the table, and each call makes a new one.
    stream = pyarrow.RecordBatchReader.from_stream(market.offers())
    del offers, market
    assert stream.read_all() == table


def test_no_rows_are_a_table_too(market: fulcrum_market.Federation) -> None:
    none = market.offers(vcpu=1000)
    assert pyarrow.table(none).num_rows == 0 and polars.DataFrame(none).columns == pyarrow.table(none).column_names


def test_a_capsule_that_nobody_reads_is_freed(market: fulcrum_market.Federation) -> None:
    offers = market.offers()
    for _ in range(1000):
        offers.__arrow_c_stream__()
    with pytest.raises(ValueError, match="not a type of columns"):
        fulcrum_market._fulcrum._arrow_stream([("a", "colour")], [])
    for kind, wrong in (("money", "much"), ("day", "soon")):
        with pytest.raises(ValueError):
            fulcrum_market._fulcrum._arrow_stream([("a", kind)], [{"a": wrong}])


async def test_a_loop_sees_offers_at_once(config: Config) -> None:
    other = await fulcrum_market.AsyncFederation.create(config)
    await other.refresh()
    assert [offer.monthly for offer in other.offers(kind="machine", vcpu=2)] == [Decimal(10), Decimal("12.5")]
