"""The library's events in ``logging``, its numbers, and progress bars."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Iterator

import pytest
import tqdm  # type: ignore[import-untyped]
from conftest import SHOP, Config

import fulcrum_market
from fulcrum_market import _progress

LOGGER = logging.getLogger("fulcrum_market")


class Kept(logging.Handler):
    """Keeps records, and the threads on which they came."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.threads: set[threading.Thread] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.threads.add(threading.current_thread())

    def of(self, words: str) -> list[Any]:
        return [record for record in self.records if words in record.getMessage()]


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept, level = Kept(), LOGGER.level
    LOGGER.addHandler(kept)
    yield kept
    LOGGER.removeHandler(kept)
    LOGGER.setLevel(level)


def bought(config: Config, **sandbox: Any) -> fulcrum_market.Order:
    config["providers"][0]["sandbox"].update(sandbox)
    market = fulcrum_market.Federation(config)
    market.refresh()
    return market.purchase(market.compose(SHOP))


def test_events_come_before_the_call_returns(config: Config, kept: Kept) -> None:
    LOGGER.setLevel(logging.INFO)
    before = time.time()
    order = bought(config)
    (driving, *_) = kept.of("driving")
    assert driving.levelno == logging.INFO and driving.fulcrum["order"] == order.id and order.id in driving.getMessage()
    assert before - 1 <= driving.created <= time.time() and driving.name == "fulcrum_market"
    states = [record.fulcrum["state"] for record in kept.of("order") if record.getMessage().startswith("order ")]
    assert states[-1] == "committed" and len(states) == len(set(states)), "each once, in order"
    assert kept.threads == {threading.main_thread()}, "on the thread that waited"


def test_levels_are_the_loggers(config: Config, kept: Kept) -> None:
    LOGGER.setLevel(logging.WARNING)
    bought(config)
    assert kept.records == []
    LOGGER.setLevel(logging.DEBUG)
    bought(dict(config, ledger="other.db"))
    assert {record.levelno for record in kept.records} >= {logging.DEBUG, logging.INFO}
    # What is told of a call has the fields of what is around it.
    (done, *_) = kept.of("done")
    assert done.fulcrum["provider"] in ("alpha", "beta") and done.fulcrum["call"]


def test_failures_are_warnings_with_their_circumstances(config: Config, kept: Kept) -> None:
    order = bought(config, faults=[{"call": "provision", "times": 100, "fault": "unauthorised"}])
    assert not order.is_committed
    warned = [record for record in kept.of("attempt failed") if record.levelno == logging.WARNING]
    assert warned and warned[0].fulcrum["order"] == order.id and "renew the credentials" in warned[0].getMessage()


async def test_awaited_calls_are_told_too(config: Config, kept: Kept) -> None:
    LOGGER.setLevel(logging.INFO)
    market = await fulcrum_market.AsyncFederation.create(config)
    await market.refresh()
    await market.purchase(await market.compose(SHOP))
    for _ in range(200):
        if kept.of("state=committed"):
            break
        await asyncio.sleep(0.05)
    assert kept.of("state=committed") and threading.main_thread() not in kept.threads


def test_a_handler_may_fail_and_may_call_the_library(config: Config, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    LOGGER.setLevel(logging.INFO)
    market = fulcrum_market.Federation(config)
    market.refresh()
    plan = market.compose(SHOP)
    seen = []

    def call(record: logging.LogRecord) -> None:
        seen.append(len(market.orders()))
        raise RuntimeError("a handler's own affair")

    monkeypatch.setattr(kept, "emit", call)
    assert market.purchase(plan).is_committed and seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_logs_and_counts_for_itself(config: Config) -> None:
    program = f"""
import logging, os, sys, fulcrum_market
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import SHOP
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(process)d %(message)s")
def buy(name):
    market = fulcrum_market.Federation({{**{config!r}, "ledger": name}})
    market.refresh()
    market.purchase(market.compose(SHOP))
    return {{one.labels["state"]: one.count for one in market.metrics() if one.name == "fulcrum_orders_total"}}
assert buy("one.db")["committed"] == 1
child = os.fork()
counts = buy("child.db" if child == 0 else "two.db")
assert counts["committed"] == (1 if child == 0 else 2), counts
sys.stdout.flush()
if child == 0:
    print("child", os.getpid(), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    child = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("child "))
    assert any(line.startswith(f"{child} driving") for line in done.stdout.splitlines()), done.stdout


def test_nothing_is_written_where_nobody_has_set_logging_up(config: Config) -> None:
    faults = [{"call": "provision", "times": 100, "fault": "unauthorised"}]
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_logs
assert not test_logs.bought({config!r}, faults={faults!r}).is_committed
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_numbers_count_what_was_done(config: Config) -> None:
    def numbers(market: fulcrum_market.Federation) -> dict[tuple[str, str], int]:
        return {(one.name, one.labels.get("state", one.labels.get("call", ""))): one.count for one in market.metrics()}

    market = fulcrum_market.Federation(config)
    market.refresh()
    plan = market.compose(SHOP)
    before = numbers(market)
    market.purchase(plan)
    after = numbers(market)
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert grown[("fulcrum_orders_total", "committed")] == 1
    assert grown[("fulcrum_ledger_write_seconds", "")] > 3
    times = [one for one in market.metrics() if one.name == "fulcrum_step_seconds"]
    assert {one.labels["provider"] for one in times} >= {"alpha", "beta"} and all((one.seconds or 0) > 0 for one in times)
    assert all(one.seconds is None for one in market.metrics() if one.name == "fulcrum_orders_total")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_moves_with_the_search(config: Config) -> None:
    market = fulcrum_market.Federation(config)
    market.refresh()
    bar = tqdm.tqdm(file=io.StringIO())
    market.compose(SHOP, progress=bar)
    assert "best 22.5" in bar.postfix and not bar.disable
    bar.close()
    assert market.compose(SHOP, progress=tqdm.tqdm).is_optimal
    for odd in ("a bar", 7):
        with pytest.raises(TypeError, match="progress bar"):
            market.compose(SHOP, progress=odd)  # type: ignore[arg-type]


def test_a_bar_is_drawn_where_somebody_looks(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    market = fulcrum_market.Federation(config)
    market.refresh()
    for stream, is_drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        market.compose(SHOP, progress=True)
        market.compose(SHOP, progress=False)
        assert ("nodes" in stream.getvalue()) == is_drawn, stream.getvalue()
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert market.compose(SHOP, progress=True).is_optimal, "without tqdm it is silent"


def test_a_bar_counts_each_search_of_an_explanation() -> None:
    class Bar:
        total = 0.0

        def update(self, n: float = 1) -> None:
            assert n >= 0
            self.total += n

        def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
            self.said = s

    bar = Bar()
    report = _progress.reporter(bar)
    assert report is not None
    for nodes in (5, 9, 2, 4):
        report(Decimal("1234.5"), None, nodes)
    assert bar.total == 13 and bar.said == "best 1,234.5"
