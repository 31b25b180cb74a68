"""Composes a plan over the shipped price tables, buys it on sandbox clouds, and ends it again.

Run it in the project's folder: python examples/python/buy.py
"""

import asyncio
import sys
import threading

import fulcrum_market

CONFIG = {
    "ledger": ":memory:",
    "rates": "examples/rates/ecb.csv",
    "max_rates_age_days": 36500,  # the shipped rates are of one day; a week is the limit unless told
    "providers": [{"sandbox": {"catalogue": "examples/catalogue", "seed": 7}}],
}
SHOP = """
name: shop
components:
  web: { vcpu: 2, memory_mib: 4096, replicas: 2 }
where: { jurisdiction: EU }
constraints:
  - survive: { components: [web], loss_of: provider }
"""


def blocking() -> None:
    market = fulcrum_market.Federation(CONFIG)
    print(f"{len(market.refresh())} offers")
    for source in market.sources:
        print(f"  {source['provider']}: {source['offers']}, {source['state']}")

    # A mistake is an exception that says what to write instead.
    try:
        market.compose(SHOP.replace("replicas", "replica"))
    except fulcrum_market.DocumentError as mistake:
        print(f"a mistake: {mistake}")

    plan = market.compose(SHOP)
    for lease in plan.leases:
        print(f"  {lease['offer']}: {lease['replicas']}")
    print(f"  {plan.monthly} {plan.currency} a month, proven best: {plan.is_optimal}")

    order = market.purchase(plan)
    if not order.is_committed:
        sys.exit(f"{order.state}: {order.reason}")
    print(f"order {order.state}: {len(order.services)} services")
    print(f"then {market.cancel(order.id).state}, after {len(market.events(order.id))} events")

    # One thread drives an order, another one follows it.
    order = market.accept(plan)
    driver = threading.Thread(target=market.drive, args=[order.id])
    driver.start()
    for event in market.follow(order.id):
        if event["kind"]["event"] == "order":
            print(f"  it is {event['kind']['state']}")
    driver.join()


async def awaiting() -> None:
    market = await fulcrum_market.AsyncFederation.create(CONFIG)
    await market.refresh()
    order = await market.accept(await market.compose(SHOP, timeout=10, progress=lambda *now: print(f"  searching: {now}")))
    driven = asyncio.ensure_future(market.drive(order.id))
    async for event in market.follow(order.id):
        print(f"  {event['sequence']:>3} {event['kind']['event']}")
    print(f"order {(await driven).state}")


if __name__ == "__main__":
    blocking()
    asyncio.run(awaiting())
