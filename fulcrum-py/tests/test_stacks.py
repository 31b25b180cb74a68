"""A caller's stack may be small: calls that wait or compute run on threads of the library, and functions of the host's on the
thread that called."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import SHOP, Config
from test_coroutines import BLUEPRINT, Rack
from test_host import EMPTY, LIMIT, forks, opened, program, unprivileged
from test_panics import BY, calls, names

import fulcrum_market

#: musl's own size. What overflows it ends the process without a word.
SMALL = 128 * 1024


def on_small_stack(work: Callable[[], Any], size: int = SMALL) -> Any:
    """What the work answers or raises on a thread with a small stack."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:
            answers.append(error)

    threading.stack_size(size)
    thread = threading.Thread(target=run)
    thread.start()
    threading.stack_size(0)
    thread.join()
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0]


def nested(depth: int, as_list: bool = False) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if as_list else {"a": value}
    return value


def with_settings(value: Any) -> dict[str, Any]:
    return dict(SHOP, components={"web": dict(SHOP["components"]["web"], settings={"it": value})})


def tell(*what: Any) -> None:
    """Whoever reads the output of a process that died sees where that was."""
    print(*what, file=sys.stderr, flush=True)


def use(value: object) -> None:
    """Each name of a value."""
    for name in sorted(names(type(value)) - {"from_json", "_of"}):
        tell(type(value).__name__, name)
        found = getattr(value, name)
        if callable(found):
            found()
    repr(value), str(value)


# --- Each call, with a small stack. What follows runs in a process of its own, as an overflow ends it.


class Sizes(Rack):
    """Enough products for a search that takes a while."""

    def offers(self, filter: dict[str, Any]) -> Any:
        row = super().offers(filter)[0]
        sizes = [(2, 4096, 7.1), (4, 8192, 13.3), (4, 16384, 17.9), (8, 16384, 25.7), (16, 32768, 49.9)]
        return [dict(row, sku=f"m{at}", vcpu=v, memory_mib=m, monthly=str(p)) for at, (v, m, p) in enumerate(sizes)]


HARD = {
    "name": "hard",
    "components": {
        f"c{at}": {"vcpu": [0.5, 1, 3][at % 3], "memory_mib": [700, 2900, 3700][at * 2 % 3], "replicas": 3 + at % 4}
        for at in range(14)
    },
    "constraints": [{"share": "all"}],
}


def in_order(every: dict[str, Callable[[], Any]]) -> list[tuple[str, Callable[[], Any]]]:
    """What forgets the order comes last but one, and what closes the federation last."""
    return sorted(every.items(), key=lambda call: ["forget", "close"].index(call[0]) if call[0] in ("forget", "close") else -1)


def sync_calls(config: Config) -> None:
    market = fulcrum_market.Federation(config)
    market.refresh()
    plan = market.compose(SHOP)
    market.release(market.purchase(plan).id, 0, **BY)
    order = market.purchase(plan)
    for name, call in in_order(calls(market, plan, config, order.id)):
        tell(name)
        try:
            found = call()
            if inspect.iscoroutine(found):
                found.close()
            elif isinstance(found, fulcrum_market.Events):
                assert len(list(found)) > 3
        except fulcrum_market.PurchaseError as error:
            assert "not stuck" in str(error) or "has no service" in str(error), (name, error)
        except fulcrum_market.UnsupportedError:
            # Nothing opens a machine.
            assert name == "access"
        except fulcrum_market.DocumentError:
            assert name == "open"
    market = fulcrum_market.Federation.open("federation.yaml")
    market.refresh()
    order = market.purchase(plan)
    for value in (plan, order, market.catalogue, market.timeline(order.id)):
        use(value)
    tell("a fork")
    if hasattr(os, "fork"):
        child = os.fork()
        if child == 0:
            os._exit(0 if fulcrum_market.Plan.from_json(plan.to_json()) == plan else 1)
        assert os.waitpid(child, 0)[1] == 0
    tell("archives and plans")
    fulcrum_market.verify_archive(market.export(order.id))
    assert fulcrum_market.Plan.from_json(plan.to_json()) == plan
    tell("a search, with a provider of the host's")
    large = fulcrum_market.Federation(EMPTY, providers=[Sizes()])
    large.refresh()
    with suppress(fulcrum_market.StoppedError):
        large.compose(HARD, timeout=1, threads=2, progress=lambda *now: None)
    assert large.pareto(BLUEPRINT, ("cost", "providers"))
    assert large.purchase(large.compose(BLUEPRINT)).is_committed
    assert large.run_conformance("rack", sku="m0", timeout=1)["text"]


async def awaited_calls(config: Config) -> None:
    market = await fulcrum_market.AsyncFederation.create(config)
    await market.refresh()
    plan = await market.compose(SHOP)
    await market.release((await market.purchase(plan)).id, 0, **BY)
    order = await market.purchase(plan)
    for name, call in in_order(calls(market, plan, config, order.id)):
        tell("async", name)
        try:
            found = call()
            if inspect.isawaitable(found):
                await found
            elif isinstance(found, fulcrum_market.Events):
                assert len([event async for event in found]) > 3
        except fulcrum_market.PurchaseError as error:
            assert "not stuck" in str(error) or "has no service" in str(error), (name, error)
        except fulcrum_market.UnsupportedError:
            # Nothing opens a machine.
            assert name == "access"
        except fulcrum_market.DocumentError:
            assert name == "open"
    await (await fulcrum_market.AsyncFederation.open("federation.yaml")).refresh()
    own = await fulcrum_market.AsyncFederation.create(EMPTY, providers=[Sizes()])
    await own.refresh()
    with suppress(fulcrum_market.StoppedError):
        await own.compose(HARD, timeout=1, threads=2, progress=lambda *now: None)
    assert (await own.purchase(await own.compose(BLUEPRINT))).is_committed


def hostile_documents(config: Config) -> None:
    market = opened(config)
    plan = market.compose(SHOP)
    order = market.purchase(plan)
    texts = (
        "name: x\ncomponents: " + "{a: " * 3000 + "1" + "}" * 3000,
        '{"name": "x", "components": ' + "[" * 100_000,
        "[" * 120 + "]" * 120,
        '{"a": ' * 120 + "1" + "}" * 120,
    )
    for at, document in enumerate((*texts, nested(10_000), nested(10_000, as_list=True))):
        readers: list[Callable[[Any], Any]] = [
            market.compose, fulcrum_market.Federation, lambda it: fulcrum_market.Federation(config, reach=it), market.catalogue.query,
            lambda it: market.purchase(plan, it), lambda it: market.accept(plan, it), plan.approval_digest,
            lambda it: market.act(order.id, 0, it, **BY), lambda it: market.run_conformance("alpha", settings=it), market.reconcile,
            lambda it: market.reconcile_every(1, print, repair=it), lambda it: market.explain(it, plan),
            fulcrum_market.verify_archive,
        ]  # fmt: skip
        if isinstance(document, str):
            readers.append(fulcrum_market.Plan.from_json)
        for number, reader in enumerate(readers):
            tell("hostile", at, number)
            with pytest.raises(fulcrum_market.DocumentError):
                reader(document)
    tell("no numbers")
    for deep in (nested(100_000), nested(100_000, as_list=True)):
        with pytest.raises(ValueError, match="gap_percent"):
            market.compose(SHOP, gap_percent=deep)
        with pytest.raises(ValueError, match="step"):
            market.pareto(SHOP, ("cost", "providers"), step=deep)


def deep_and_long_documents(config: Config) -> None:
    market = opened(config)
    wide = market.compose(with_settings(list(range(10_000))))
    flat = market.compose(with_settings("here"))
    # A plan's own text may nest deeper than a blueprint.
    text = flat.to_json().replace('"here"', json.dumps(nested(110)))
    for plan in (wide, market.compose(with_settings(nested(60))), fulcrum_market.Plan.from_json(text)):
        use(plan)
        assert plan == fulcrum_market.Plan.from_json(plan.to_json())
        order = market.purchase(plan, "# " + "long " * 50_000 + "\nstep_timeout_s: 60\n")
        assert order.is_committed and order.plan == plan
        use(order)
        market.deliver(order.id, lambda events: None, timeout=0.05)
        fulcrum_market.verify_archive(market.export(order.id))
        market.cancel(order.id)
        assert len(list(market.follow(order.id))) == len(market.events(order.id))
        use(market.timeline(order.id))

    async def awaited() -> None:
        own = await fulcrum_market.AsyncFederation.create(dict(config, ledger=":memory:"))
        await own.refresh()
        order = await own.purchase(await own.compose(with_settings(nested(60))), "# " + "long " * 50_000)
        await own.cancel(order.id)
        assert [event async for event in own.follow(order.id)] == await own.events(order.id)

    asyncio.run(awaited())


def async_calls(config: Config) -> None:
    asyncio.run(awaited_calls(config))


#: Where only half of it is left, documents may be deep, too.
WORK: dict[Callable[[Config], None], int] = {sync_calls: SMALL, async_calls: SMALL, hostile_documents: SMALL, deep_and_long_documents: SMALL // 2}


@pytest.mark.parametrize("work", WORK)
def test_each_call_works_with_a_stack_of_128_kib(config: Config, work: Callable[[Config], None]) -> None:
    Path("federation.yaml").write_text(json.dumps(config))
    done = program(
        f"""
        import test_stacks
        test_stacks.on_small_stack(lambda: test_stacks.{work.__name__}(config), {WORK[work]})
        print("all")
        """,
        config,
        patience=120,
    )
    assert done.returncode == 0 and done.stdout.endswith("all\n"), (done.returncode, done.stderr[-2000:])


# --- The thread that called


def test_functions_of_the_hosts_run_on_the_thread_that_called(config: Config) -> None:
    def work() -> list[str]:
        market, here, told = opened(config), threading.get_ident(), []

        def note(what: str) -> Callable[..., None]:
            def noted(*_: Any) -> None:
                assert market.catalogue.digest and market.resume() == []
                told.append(what if threading.get_ident() == here else f"{what} elsewhere")

            return noted

        order = market.purchase(market.compose(SHOP, progress=note("progress")))
        market.explain(SHOP, order.plan, progress=note("progress"))
        market.deliver("a test", note("sink"), timeout=0.2)
        market.reconcile_every(60, note("report"), timeout=0.2)
        return told

    for told in (work(), on_small_stack(work)):
        assert set(told) == {"progress", "sink", "report"}


@forks
def test_a_function_of_the_hosts_may_fork(config: Config) -> None:
    market = opened(config)
    market.purchase(market.compose(SHOP))
    parent, children = os.getpid(), []

    def sink(events: Any) -> None:
        children.append(os.fork())
        if children[-1] == 0:
            signal.alarm(20)

    try:
        market.deliver("a test", sink, timeout=0.5)
    except fulcrum_market.HostError as error:
        assert os.getpid() != parent
        os._exit(7 if "fork" in str(error) else 1)
    finally:
        if os.getpid() != parent:
            os._exit(2)
    assert children
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert market.refresh()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_an_open_federation_goes_on_without_a_further_thread(config: Config) -> None:
    body = LIMIT + """
class Nested(Rack):
    def __init__(self, name):
        super().__init__()
        self.document = dict(Rack.document, id=name, name=name)
    def offers(self, filter):
        time.sleep(0.2)                 # so that others of its kind take all threads for what blocks
        market.compose(SHOP)            # computes
        market.order(order.id)          # waits
        return super().offers(filter)
market = fulcrum_market.Federation(dict(config, ledger=":memory:")); market.refresh()
plan = market.compose(SHOP); order = market.purchase(plan)
nested = fulcrum_market.Federation(EMPTY, providers=[Nested(f"n{at}") for at in range(6)])
begun = threading.Event()
def keep():
    begun.set()
    market.serve(timeout=20)
# They take the threads that are there.
for _ in range(3):
    threading.Thread(target=keep, daemon=True).start()
begun.wait(); time.sleep(0.5)
limit(0)
tell("compose", lambda: market.compose(SHOP) == plan)
tell("purchase", lambda: market.purchase(plan, {"step_timeout_s": 60}).state)
tell("events", lambda: len(market.events(order.id)) > 3)
tell("query", lambda: len(market.catalogue.query({"limit": 1})))
tell("nested", lambda: len(nested.refresh()))
tell("error", lambda: market.compose("name: x"))
tell("progress", lambda: market.compose(SHOP, progress=lambda *now: True))
tell("sink", lambda: market.deliver("x", print, timeout=0.1))
sys.stdout.flush()
os._exit(0)
"""
    for folder in Path(config["ledger"]).parents:
        if str(folder).startswith("/tmp/"):
            os.chmod(folder, 0o755)
    done = program(body, config, *unprivileged(), patience=60)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[:5] == ["compose ok True", "purchase ok committed", "events ok True", "query ok 1", "nested ok 6"], said
    assert said[5].startswith("error DocumentError"), said
    assert all("HostError no thread can be started" in line for line in said[6:]) and len(said) == 8, said
