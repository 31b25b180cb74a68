"""Buys an application on sandbox clouds and ends it again. buy.c, buy.cpp and buy.rs take the same steps.

Run it in the project's folder: python examples/python/buy.py
"""

import asyncio
import sys

import fulcrum_market

CONFIG = """
ledger: ":memory:"
rates: examples/rates/ecb.csv
max_rates_age_days: 36500  # the shipped rates are of one day; a week is the limit unless told
providers:
  - sandbox: { catalogue: examples/catalogue, seed: 7 }
"""
SHOP = """
name: shop
components:
  web: { vcpu: 2, memory_mib: 4096, replicas: 2 }
where: { jurisdiction: EU }
constraints:
  - survive: { components: [web], loss_of: provider }
"""


def main() -> None:
    # 1. Open a federation.
    market = fulcrum_market.Federation(CONFIG)

    # 2. Ask all providers for their offers, and look at the cheapest of some.
    market.refresh()
    for offer in market.offers(kind="machine", vcpu=4, memory="16 GiB", limit=3):
        print(f"  {offer.id}: {offer.monthly} {offer.currency} a month on {offer.observed}")

    # 3. A mistake in a document is an error that says what to write.
    try:
        market.compose("name: [1")
    except fulcrum_market.DocumentError as mistake:
        print(f"a mistake: {mistake}")

    # 4. Compose the cheapest plan, in ten seconds at most.
    plan = market.compose(SHOP, timeout=10, progress=lambda incumbent, bound, nodes: print(f"  searching: {nodes} nodes"))
    for lease in plan:
        print(f"  {lease.offer}: {lease.monthly} {plan.currency} a month")
    print(f"  {plan.monthly} {plan.currency} a month, proven best: {plan.is_optimal}")

    # 5. Purchase it: all of it or nothing.
    order = market.purchase(plan)
    print(f"order {order.id} is {order.state}")
    for service in order.services:
        print(f"  {service.provider}/{service.id} is {service.status}")
    if not order.is_committed:
        sys.exit(order.reason)

    # 6. Cancel it: its services are ended.
    market.cancel(order.id)
    print(market.timeline(order.id))

    # 7. Purchase once more, in the background.
    asyncio.run(in_the_background())


async def in_the_background() -> None:
    market = await fulcrum_market.AsyncFederation.create(CONFIG)
    await market.refresh()
    order = await market.accept(await market.compose(SHOP))
    driven = asyncio.ensure_future(market.drive(order.id))
    async for event in market.follow(order.id):
        print(f"  {event['sequence']:>3} {event['kind']['event']}")
    print(f"the second order is committed: {(await driven).is_committed}")


if __name__ == "__main__":
    main()
