"""Old orders leave with proof, events reach the host, and people can read what happened."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest
from conftest import SHOP, Config

import fulcrum_market
from fulcrum_market import documents

Events = list[documents.OrderEvent]
LATER = timedelta(seconds=1)


def market(config: Config) -> fulcrum_market.Federation:
    market = fulcrum_market.Federation(config)
    market.refresh()
    return market


def test_an_old_order_is_exported_and_forgotten(config: Config) -> None:
    shop = market(config)
    order = shop.purchase(shop.compose(SHOP))
    now = datetime.now(timezone.utc)
    assert shop.forget(now + LATER) == 0, "its services exist"
    shop.cancel(order.id)
    archive = shop.export(order.id)
    fulcrum_market.verify_archive(archive)
    assert archive["format"] == "fulcrum-order-archive/1" and archive["order"]["state"] == "ended"
    assert shop.forget(now - LATER) == 0
    assert shop.forget(datetime.now(timezone.utc) + LATER) == 1
    assert shop.order(order.id) is None
    for missing in (shop.export, shop.timeline):
        with pytest.raises(fulcrum_market.OrderNotFoundError):
            missing(order.id)
    archive["order"]["state"] = "committed"
    with pytest.raises(fulcrum_market.FulcrumError, match="its events lead to ended"):
        fulcrum_market.verify_archive(archive)
    with pytest.raises(ValueError, match="time zone"):
        shop.forget(datetime.now())


def test_a_timeline_is_text_and_a_dict(config: Config) -> None:
    shop = market(config)
    order = shop.purchase(shop.compose(SHOP))
    told = shop.timeline(order.id)
    lines = str(told).splitlines()
    assert lines[0].startswith(f"order {order.id} is committed") and lines[-1].endswith("order: committed")
    document = told.to_dict()
    assert document["format"] == "fulcrum-timeline/1"
    assert len(told) == len(document["entries"]) == len(lines) - 1
    assert document["entries"][0]["subject"] == "order" and document["entries"][0]["since_start_ms"] >= 0


def test_events_are_delivered_and_again_when_they_were_not_taken(config: Config) -> None:
    shop = market(config)
    order = shop.purchase(shop.compose(SHOP))
    wanted = [event["sequence"] for event in shop.events(order.id)]
    calls: list[Events] = []

    def sink(events: Events) -> None:
        calls.append(events)
        if len(calls) < 3:
            raise RuntimeError("not now")

    shop.deliver("a test", sink, timeout=4)
    assert [[event["sequence"] for event in events] for events in calls] == [wanted] * 3
    shop.deliver("a test", sink, timeout=0.3)
    assert len(calls) == 3, "what was taken does not come again"

    def interrupted(_: Events) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.deliver("another test", interrupted)


async def test_events_are_delivered_to_a_coroutine(config: Config) -> None:
    shop = await fulcrum_market.AsyncFederation.create(config)
    await shop.refresh()
    seen: Events = []
    is_done = asyncio.Event()

    async def sink(events: Events) -> None:
        await asyncio.sleep(0)
        seen.extend(events)
        if events[-1]["kind"].get("state") == "committed":
            is_done.set()

    task = asyncio.ensure_future(shop.deliver("a test", sink))
    order = await shop.purchase(await shop.compose(SHOP))
    await asyncio.wait_for(is_done.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == await shop.events(order.id)
    assert "order: committed" in str(await shop.timeline(order.id))
    fulcrum_market.verify_archive(await shop.export(order.id))
    assert await shop.forget(datetime.now(timezone.utc)) == 0
