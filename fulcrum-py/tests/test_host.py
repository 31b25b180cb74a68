"""The library is a guest: in a process that forks, ends, has no threads, and collects its garbage."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import SHOP, Config
from test_coroutines import BLUEPRINT, Rack

import fulcrum_market
from fulcrum_market import documents

ID = "018f0000-0000-7000-8000-000000000001"
HERE = Path(__file__).parent
EMPTY: Config = {"ledger": ":memory:", "providers": []}
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")

HEAD = """
import asyncio, gc, json, os, resource, signal, sys, threading, time
sys.path.insert(0, sys.argv[1])
config = json.loads(sys.argv[2])
import fulcrum_market
from conftest import SHOP
from test_coroutines import BLUEPRINT, Rack
EMPTY = {"ledger": ":memory:", "providers": []}
"""


def program(body: str, config: Config, *before: str, patience: float = 60) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", HEAD + textwrap.dedent(body), str(HERE), json.dumps(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience)


def in_child(work: Callable[[], Any], patience: int = 30) -> tuple[int, str]:
    """What a forked child says, and how it ended; a child that hangs is ended by a signal."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(patience)
            try:
                said = f"ok {work()}"
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            os.write(writer, said.encode())
            gc.collect()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def opened(config: Config) -> fulcrum_market.Federation:
    market = fulcrum_market.Federation(config)
    market.refresh()
    return market


def bought(config: Config) -> str:
    market = opened(config)
    return market.purchase(market.compose(SHOP)).id


# --- Fork


@forks
def test_in_a_forked_child_the_parents_objects_are_errors_at_once(config: Config) -> None:
    market = opened(config)
    plan = market.compose(SHOP)
    order = market.purchase(plan)
    events = market.follow(order.id)
    for work in (
        market.refresh, lambda: market.compose(SHOP), lambda: market.purchase(plan), lambda: market.catalogue,
        lambda: repr(market), lambda: next(events), lambda: market.serve(timeout=1), lambda: list(events),
    ):  # fmt: skip
        began = time.monotonic()
        ended, said = in_child(work)
        assert ended == 0 and said.startswith("HostError") and "fork" in said, said
        assert time.monotonic() - began < 5
    assert in_child(lambda: plan.monthly) == (0, "ok 22.5")
    assert market.purchase(plan).is_committed, "the parent goes on"


@forks
def test_a_forked_child_opens_a_federation_of_its_own(config: Config) -> None:
    config["providers"][0]["sandbox"]["state"] = config["ledger"] + ".cloud"
    market = opened(config)
    first = market.purchase(market.compose(SHOP)).id

    async def buy() -> str:
        own = await fulcrum_market.AsyncFederation.create(config)
        await own.refresh()
        return (await own.purchase(await own.compose(SHOP))).id

    children = [in_child(lambda: bought(config)), in_child(lambda: asyncio.run(buy()))]
    # The child's own child as well.
    children.append(in_child(lambda: (bought(config), in_child(lambda: bought(config)))[1][1]))
    assert [ended for ended, _ in children] == [0, 0, 0], children
    for _, said in children:
        order = market.order(said.split()[-1])
        assert order is not None and order.is_committed, said
    assert first == market.events(first)[0]["order"]
    assert market.reconcile()["findings"] == []


@forks
def test_a_child_drops_the_parents_objects_and_ends(config: Config) -> None:
    held: list[Any] = [opened(config)]
    held.append(held[0].follow(held[0].purchase(held[0].compose(SHOP)).id))

    def drop() -> int:
        held.clear()
        return gc.collect()

    ended, said = in_child(drop)
    assert ended == 0 and said.startswith("ok"), said
    done = program(
        """
        market = fulcrum_market.Federation(config); market.refresh()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            sys.exit(5)     # with all that happens at the interpreter's end
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), market.compose(SHOP).monthly)
        """,
        config,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "5 22.5\n", "")


def _work(config: Config, answers: Any) -> None:
    answers.put(bought(config))


@forks
def test_multiprocessing_forks_while_the_parent_is_open(config: Config) -> None:
    market = opened(config)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [context.Process(target=_work, args=(config, answers)) for _ in range(3)]
    for child in children:
        child.start()
    orders = {answers.get(timeout=60) for _ in children}
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert len(orders) == 3
    for id in orders:
        order = market.order(id)
        assert order is not None and order.is_committed


@forks
def test_a_fork_waits_until_sqlite_is_at_rest(config: Config) -> None:
    """Its locks are copied as they are: without the wait, one child in a few hangs."""
    market = opened(config)
    plan = market.compose(SHOP)
    is_over = threading.Event()

    def buy() -> None:
        while not is_over.is_set():
            market.events(market.purchase(plan).id)

    buyers = [threading.Thread(target=buy) for _ in range(4)]
    for buyer in buyers:
        buyer.start()
    try:
        children = [in_child(lambda: bought(config), patience=60) for _ in range(20)]
    finally:
        is_over.set()
        for buyer in buyers:
            buyer.join()
    assert all(ended == 0 and said.startswith("ok") for ended, said in children), children


@forks
def test_what_a_child_buys_stays_when_parent_and_strangers_close_the_ledger(config: Config) -> None:
    """SQLite's own locks do not cross a fork, and its notes about them do."""
    config["providers"][0]["sandbox"]["state"] = config["ledger"] + ".cloud"
    done = program(
        """
        market = fulcrum_market.Federation(config); market.refresh()
        to_child, from_parent = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            own = fulcrum_market.Federation(config); own.refresh(); plan = own.compose(SHOP)
            own.purchase(plan)
            os.write(from_parent[1], b"1")
            os.read(to_child[0], 1)
            own.purchase(plan)
            os.kill(os.getpid(), signal.SIGKILL)
        os.read(from_parent[0], 1)
        del market; gc.collect(); time.sleep(1)
        import sqlite3, subprocess
        look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('select count(*) from orders').fetchone()[0]); c.close()"
        print(subprocess.run([sys.executable, "-c", look, config["ledger"]], capture_output=True, text=True).stdout.strip())
        os.write(to_child[1], b"1")
        os.waitpid(child, 0)
        print(subprocess.run([sys.executable, "-c", look, config["ledger"]], capture_output=True, text=True).stdout.strip())
        """,
        config,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["1", "2"]), done.stderr


# --- Threads


def unprivileged() -> list[str]:
    """Limits on threads do not bind root: as another user, if that can be."""
    if os.getuid() != 0:
        return []
    command = ["setpriv", "--reuid", "23456", "--regid", "23456", "--clear-groups", "--"]
    try:
        ran = subprocess.run([*command, sys.executable, "-c", "import fulcrum_market"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no setpriv")
    if ran.returncode != 0:
        pytest.skip("another user cannot run this Python")
    return command


LIMIT = """
def limit(left):
    "No more than so many further threads for this user, who has no other process."
    mine = len(os.listdir("/proc/self/task"))
    resource.setrlimit(resource.RLIMIT_NPROC, (mine + left, mine + left))

def tell(name, work):
    try:
        print(name, "ok", work(), flush=True)
    except Exception as error:
        print(name, type(error).__name__, error, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("left", [0, 1, 2, 3, 4, 6])
def test_without_threads_opening_is_an_error_or_all_works(config: Config, left: int) -> None:
    body = LIMIT + textwrap.dedent(
        f"""
        limit({left})
        def go():
            market = fulcrum_market.Federation(dict(config, ledger=":memory:"))
            market.refresh()
            plan = market.compose(SHOP, threads=4)
            return market.purchase(plan).state
        tell("sync", go)
        def of_ledgers():
            names = [open(f"/proc/self/task/{{task}}/comm").read() for task in os.listdir("/proc/self/task")]
            return [name for name in names if name.startswith(("sqlx", "fulcrum-ledger"))]
        end = time.monotonic() + 3
        while time.monotonic() < end:       # the first ledger's threads end after it
            try:
                if not of_ledgers():
                    break
            except OSError:
                pass
            time.sleep(0.01)
        async def awaited():
            market = await fulcrum_market.AsyncFederation.create(dict(config, ledger=":memory:"))
            await market.refresh()
            return (await market.purchase(await market.compose(SHOP))).state
        tell("async", lambda: asyncio.run(awaited()))
        """
    )
    os.chmod(Path(config["ledger"]).parent, 0o755)
    for folder in Path(config["ledger"]).parents:
        if str(folder).startswith("/tmp/"):
            os.chmod(folder, 0o755)
    done = program(body, config, *unprivileged(), patience=60)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2, done.stdout + done.stderr
    for line in said:
        assert line.endswith(" ok committed") or re.search(r"(HostError|LedgerError).*(thread|Resource)", line), line
    if left == 0:
        assert "no thread can be started" in said[0]
    if left == 6:
        assert said == ["sync ok committed", "async ok committed"], done.stdout


# --- Event loops


@pytest.mark.parametrize("what", ["purchase", "compose", "serve", "deliver", "follow", "refresh", "reconcile_every"])
def test_a_loop_may_end_under_a_call(config: Config, what: str) -> None:
    body = f"""
    what = {what!r}
    config["providers"][0]["sandbox"]["operation_ms"] = [100, 200]
    state = {{}}
    async def once(n):
        if not state:
            market = state["market"] = await fulcrum_market.AsyncFederation.create(config)
            await market.refresh()
            state["plan"] = await market.compose(SHOP)
            state["order"] = (await market.accept(state["plan"])).id
        market = state["market"]
        async def follow():
            async for event in market.follow(state["order"]):
                pass
        async def sink(batch):
            await asyncio.sleep(0.01)
        call = {{
            "purchase": lambda: market.purchase(state["plan"]),
            "compose": lambda: market.compose(SHOP, progress=lambda *_: True),
            "serve": lambda: market.serve(timeout=30),
            "deliver": lambda: market.deliver("x", sink, timeout=30),
            "follow": follow,
            "refresh": market.refresh,
            "reconcile_every": lambda: market.reconcile_every(0, lambda report: None, timeout=30),
        }}[what]
        task = asyncio.ensure_future(call())
        await asyncio.sleep(0.002 * (n % 12))
    for n in range(24):
        asyncio.run(once(n))
    # Loops that end without cancelling anything.
    for n in range(8):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(once(n))
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False
        loop.close()
    gc.collect()
    time.sleep(0.5)
    """
    done = program(body, config, patience=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr[-2000:]


@pytest.mark.parametrize("way", ["run", "task", "close"])
def test_a_purchase_that_is_cancelled_buys_no_more(way: str) -> None:
    begun: list[str] = []

    class Slow(Rack):
        def poll(self, operation: str) -> dict[str, Any]:
            begun.append(operation)
            return {"status": "running"} if len(begun) < 1000 else super().poll(operation)

    slow = Slow()
    slow.poll_interval_ms = 20
    held: dict[str, Any] = {}

    async def begin() -> None:
        held["market"] = market = await fulcrum_market.AsyncFederation.create(EMPTY, providers=[slow])
        await market.refresh()
        buying = market.purchase(await market.compose(BLUEPRINT), id=ID)
        if way == "close":
            buying.send(None)
        else:
            held["task"] = asyncio.ensure_future(buying)
        while not begun:
            await asyncio.sleep(0.01)
        if way == "close":
            buying.close()
        elif way == "task":
            held["task"].cancel()
            with pytest.raises(asyncio.CancelledError):
                await held["task"]

    asyncio.run(begin())
    time.sleep(0.2)
    polled = len(begun)
    time.sleep(0.5)
    assert len(begun) <= polled + 1, "it goes on in the background"
    begun.extend([""] * 1000)

    async def resumed() -> str:
        market = held["market"]
        before = await market.order(ID)
        assert before.state == "provisioning"
        for _ in range(100):
            await market.resume()
            if (await market.order(ID)).is_committed:
                break
            await asyncio.sleep(0.1)
        return str((await market.order(ID)).state)

    assert asyncio.run(resumed()) == "committed"
    assert len(slow.machines) == 1


# --- Garbage


@pytest.mark.parametrize("kind", ["sync", "async", "events"])
def test_a_cycle_of_provider_and_federation_is_collected(kind: str) -> None:
    class Own(Rack):
        market: Any
        events: Any

    async def create(rack: Own) -> fulcrum_market.AsyncFederation:
        market = await fulcrum_market.AsyncFederation.create(EMPTY, providers=[rack])
        await market.refresh()
        return market

    def make() -> "weakref.ref[Own]":
        rack = Own()
        if kind == "async":
            rack.market = asyncio.run(create(rack))
        else:
            rack.market = fulcrum_market.Federation(EMPTY, providers=[rack])
            rack.market.refresh()
            if kind == "events":
                order = rack.market.purchase(rack.market.compose(BLUEPRINT))
                rack.events = rack.market.follow(order.id)
                next(rack.events)
        return weakref.ref(rack)

    alive = make()
    for _ in range(50):  # a thread of the library's may still let go of the last call
        gc.collect()
        if alive() is None:
            return
        time.sleep(0.05)
    raise AssertionError("the cycle is never collected")


def test_what_is_in_use_is_not_collected() -> None:
    rack = Rack()
    market = fulcrum_market.Federation(EMPTY, providers=[rack])
    alive = weakref.ref(rack)
    del rack
    gc.collect()
    assert alive() is not None
    market.refresh()
    assert market.purchase(market.compose(BLUEPRINT)).is_committed

    async def main() -> None:
        own = await fulcrum_market.AsyncFederation.create(EMPTY, providers=[Rack()])
        await own.refresh()
        buying = asyncio.ensure_future(own.purchase(await own.compose(BLUEPRINT)))
        await asyncio.sleep(0)
        del own
        gc.collect()
        assert (await buying).is_committed

    asyncio.run(main())


# --- What never came


async def test_to_follow_an_order_that_is_not_there_is_an_error(config: Config) -> None:
    market = await fulcrum_market.AsyncFederation.create(config)
    with pytest.raises(fulcrum_market.OrderNotFoundError):
        async for _ in market.follow(ID):
            raise AssertionError("an event of no order")


# --- The interpreter's end, and signals

SLOW = """
class Slow(Rack):
    def provision(self, request, key):
        time.sleep(30)
market = fulcrum_market.Federation(EMPTY, providers=[Slow()]); market.refresh()
plan = market.compose(BLUEPRINT)
fast = fulcrum_market.Federation(config); fast.refresh()
order = fast.accept(fast.compose(SHOP)).id
fifo = config["ledger"] + ".fifo"
SIZES = [(2, 4096, 7.1), (4, 8192, 13.3), (4, 16384, 17.9), (8, 16384, 25.7), (8, 32768, 33.1), (16, 32768, 49.9), (2, 8192, 9.3)]
class Sizes(Rack):
    def offers(self, filter):
        row = super().offers(filter)[0]
        return [dict(row, sku=f"m{i}", vcpu=v, memory_mib=m, monthly=str(p)) for i, (v, m, p) in enumerate(SIZES)]
class Other(Sizes):
    document = dict(Rack.document, id="other", name="other")
large = fulcrum_market.Federation(EMPTY, providers=[Sizes(), Other()]); large.refresh()
HARD = {
    "name": "hard",
    "components": {
        f"c{i}": {"vcpu": [0.5, 1, 1.5, 2, 3][i % 5], "memory_mib": [700, 1500, 2900, 3700, 5100][i * 3 % 5],
                  "replicas": 3 + i % 4, "per_machine": 3}
        for i in range(14)
    },
    "constraints": [{"share": "all"}, {"conflict": {"component": "c0", "with": ["c1"]}},
                    {"spread": {"components": ["c2"], "over": "provider", "at_least": 2}}],
}
os.mkfifo(fifo)
"""
#: Each call that waits.
WAITING = {
    "purchase": "market.purchase(plan)",
    "run_conformance": "market.run_conformance('rack', sku='small', timeout=60)",
    "serve": "fast.serve()",
    "deliver": "fast.deliver('x', lambda events: None)",
    "a sink that waits": "fast.deliver('x', lambda events: time.sleep(60))",
    "reconcile_every": "fast.reconcile_every(60, lambda report: None)",
    "follow": "list(fast.follow(order))",
    "compose": "large.compose(HARD)",
    "pareto": "large.pareto(HARD, ('cost', 'providers'))",
}


@posix
@pytest.mark.parametrize("what", WAITING)
def test_an_interpreter_ends_quietly_under_a_call(config: Config, what: str) -> None:
    body = textwrap.dedent(SLOW) + textwrap.dedent(
        f"""
        threading.Thread(target=lambda: {WAITING[what]}, daemon=True).start()
        time.sleep(0.5)
        print("done")
        """
    )
    done = program(body, config)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@posix
@pytest.mark.parametrize("what", WAITING)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_call_that_waits(config: Config, what: str, number: signal.Signals) -> None:
    body = textwrap.dedent(SLOW) + textwrap.dedent(
        f"""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
        threading.Timer(0.5, lambda: os.kill(os.getpid(), {int(number)})).start()
        try:
            {WAITING[what]}
        except KeyboardInterrupt:
            code = 9
        except SystemExit as end:
            code = end.code
        print(code, flush=True)
        os._exit(0)
        """
    )
    done = program(body, config, patience=20)
    assert (done.returncode, done.stdout) == (0, "9\n"), done.stderr


def test_a_hosts_function_may_call_the_library(config: Config) -> None:
    market = opened(config)
    order = market.purchase(market.compose(SHOP)).id
    seen: list[str] = []

    def sink(events: list[documents.OrderEvent]) -> None:
        found = market.order(order)
        assert found is not None
        seen.append(found.state)

    market.deliver("a test", sink, timeout=1)
    market.reconcile_every(60, lambda report: seen.append(str(len(market.events(order)) > 0)), timeout=1)
    assert seen == ["committed", "True"]

    async def main() -> None:
        own = await fulcrum_market.AsyncFederation.create(config)
        await own.refresh()
        await own.reconcile_every(60, lambda report: seen.append(str(market.order(order) is not None)), timeout=1)
        await own.deliver("another test", lambda events: sink(events), timeout=1)

    asyncio.run(main())
    assert seen == ["committed", "True", "True", "committed"]


@pytest.mark.parametrize("is_daemon", [False, True])
def test_functions_of_the_hosts_that_call_the_library_for_ever_are_stopped(is_daemon: bool) -> None:
    market = fulcrum_market.Federation(EMPTY, providers=[Rack()])
    market.refresh()
    depths: list[int] = []
    errors: list[BaseException] = []

    def nest(again: Callable[[Callable[..., None]], object]) -> None:
        depths.append(0)

        def called(*_: Any) -> None:
            depths[-1] += 1
            again(called)

        with pytest.raises(RecursionError, match="calls the library, which calls it again") as caught:
            again(called)
        errors.append(caught.value)

    def work() -> None:
        nest(lambda called: market.compose(BLUEPRINT, progress=called))
        nest(lambda called: market.reconcile_every(5, called, timeout=20))
        nest(lambda called: market.explain(BLUEPRINT, market.compose(BLUEPRINT), progress=called))

    thread = threading.Thread(target=work, daemon=is_daemon)
    thread.start()
    thread.join(60)
    assert depths == [16, 16, 16] and len(errors) == 3
