"""The interpreter's end, its locks, and other interpreters: what would end the process, or hang it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import Config
from test_host import EMPTY, HEAD, HERE, forks, posix, program

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")

#: What is at its end when Python is already: a thread that comes back meanwhile is in its way.
LATE = """
class Late:
    def __del__(self, sleep=time.sleep):
        sleep(0.1)
sys.modules["late"] = Late()
def for_ever(*_):
    while True:
        time.sleep(0.005)
def in_background(work):
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.4)
"""

OUTLASTING = {
    "a provider": """
        class Busy(Rack):
            def provision(self, request, key):
                for_ever()
        market = fulcrum_market.Federation(EMPTY, providers=[Busy()]); market.refresh()
        plan = market.compose(BLUEPRINT)
        in_background(lambda: market.purchase(plan))
    """,
    "progress": """
        market = fulcrum_market.Federation(EMPTY, providers=[Rack()]); market.refresh()
        in_background(lambda: market.compose(BLUEPRINT, progress=for_ever))
    """,
    "a report": """
        market = fulcrum_market.Federation(EMPTY, providers=[Rack()]); market.refresh()
        in_background(lambda: market.reconcile_every(1, for_ever))
    """,
    "a sink": """
        market = fulcrum_market.Federation(EMPTY, providers=[Rack()]); market.refresh()
        market.purchase(market.compose(BLUEPRINT))
        in_background(lambda: market.deliver("a test", for_ever))
    """,
    "awaited progress": """
        async def main():
            market = await fulcrum_market.AsyncFederation.create(EMPTY, providers=[Rack()])
            await market.refresh()
            task = asyncio.ensure_future(market.compose(BLUEPRINT, progress=for_ever))
            await asyncio.sleep(0.4)
            task.cancel()
        asyncio.run(main())
    """,
    "an awaited report": """
        async def main():
            market = await fulcrum_market.AsyncFederation.create(EMPTY, providers=[Rack()])
            await market.refresh()
            task = asyncio.ensure_future(market.reconcile_every(1, for_ever))
            await asyncio.sleep(0.4)
            task.cancel()
        asyncio.run(main())
    """,
    "an awaited sink": """
        async def main():
            market = await fulcrum_market.AsyncFederation.create(EMPTY, providers=[Rack()])
            await market.refresh()
            await market.purchase(await market.compose(BLUEPRINT))
            task = asyncio.ensure_future(market.deliver("a test", for_ever))
            await asyncio.sleep(0.4)
            task.cancel()
        asyncio.run(main())
    """,
}


def started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """How it ended and what it said; one that hangs is ended by a signal."""
    try:
        said, errors = process.communicate(timeout=40)
    except subprocess.TimeoutExpired:
        process.kill()
        said, errors = process.communicate()
    return process.returncode, said, errors


@posix
def test_functions_of_the_hosts_may_outlast_the_interpreter() -> None:
    """All at once: each takes the five seconds that the end waits."""
    running = {}
    for what, body in OUTLASTING.items():
        text = HEAD + LATE + textwrap.dedent(body) + "\nprint('main ends', flush=True)\n"
        command = [sys.executable, "-c", text, str(HERE), json.dumps(EMPTY)]
        running[what] = started(command)
    found = {what: ended(process) for what, process in running.items()}
    assert found == {what: (0, "main ends\n", "") for what in OUTLASTING}


@posix
def test_daemon_threads_work_and_ask_in_turn_until_the_end() -> None:
    """The locks of the library are never held by a thread that waits for the interpreter. Several at once, as few would hang."""
    text = """
import atexit, sys, threading, time
atexit.register(time.sleep, 0.5)        # later than the library's own, as it is older
import fulcrum_market
class Shop(fulcrum_market.Provider):
    document = {"id": "shop", "name": "shop", "legal_name": "Shop GmbH", "country": "DE", "regions": [{"id": "r1", "country": "DE"}]}
market = fulcrum_market.Federation({"ledger": ":memory:", "providers": []}, providers=[Shop()])
def work():
    while True:
        for _ in range(3000):
            pass
        try:
            market.order("018f0000-0000-7000-8000-000000000001")
        except Exception:
            pass
for _ in range(6):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
print("main ends", flush=True)
"""
    running = [started([sys.executable, "-c", text]) for _ in range(8)]
    assert [ended(process) for process in running] == [(0, "main ends\n", "")] * 8


@linux
def test_many_threads_ask_where_no_thread_can_be_had() -> None:
    """Each gets its error, and none waits for another for ever."""
    body = """
    begin, count, said = threading.Event(), [0] * 6, []
    def work(at):
        begin.wait()
        while True:
            for _ in range(500):
                pass
            try:
                fulcrum_market.Federation(EMPTY)
            except Exception as error:
                said[:] = [repr(error)]
            count[at] += 1
    for at in range(6):
        threading.Thread(target=work, args=(at,), daemon=True).start()
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    signal.alarm(20)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
    begin.set()
    time.sleep(2)
    before = sum(count)
    time.sleep(0.5)
    goes_on = sum(count) > before
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(goes_on, said[0], flush=True)
    os._exit(0)
    """
    done = program(body, EMPTY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True HostError('no thread can be started"), done.stdout


@posix
def test_what_was_to_be_cleaned_up_before_the_import_is_told_why_it_cannot(tmp_path: Path) -> None:
    """Python runs at its end first what was registered last."""
    script = tmp_path / "late.py"
    script.write_text(
        "import atexit, sys, threading\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "def clean():\n"
        "    for work in (market.refresh, lambda: market.compose(BLUEPRINT)):\n"
        "        try:\n"
        "            work()\n"
        "        except Exception as error:\n"
        "            print(type(error).__name__, error.code, error)\n"
        "    print(plan.to_dict()['format'])\n"
        "atexit.register(clean)\n"
        "import fulcrum_market\n"
        "from test_coroutines import BLUEPRINT, Rack\n"
        "market = fulcrum_market.Federation({'ledger': ':memory:', 'providers': []}, providers=[Rack()])\n"
        "market.refresh()\n"
        "plan = market.compose(BLUEPRINT)\n"
    )
    done = subprocess.run([sys.executable, str(script), str(HERE)], capture_output=True, text=True, timeout=40)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, plan = done.stdout.splitlines()
    assert first == second and first.startswith("HostError 906 ") and "after `import fulcrum_market`" in first, first
    assert plan.startswith("fulcrum-plan/")


@posix
def test_a_second_interpreter_is_refused_and_the_first_goes_on() -> None:
    body = """
    try:
        import _interpreters as interpreters
    except ImportError:
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            sys.exit("no subinterpreters")
    class Slow(Rack):
        def provision(self, request, key):
            time.sleep(1)
            return super().provision(request, key)
    market = fulcrum_market.Federation(EMPTY, providers=[Slow()]); market.refresh()
    plan, orders = market.compose(BLUEPRINT), []
    buying = threading.Thread(target=lambda: orders.append(market.purchase(plan)))
    buying.start()
    time.sleep(0.2)
    code = "\\n".join([
        "import sys", f"sys.path[:0] = {sys.path!r}", "try:", "    import fulcrum_market", "    print('imported')",
        "except ImportError as error:", "    print(error, flush=True)",
    ])
    second = interpreters.create()
    if hasattr(interpreters, "exec"):
        interpreters.exec(second, code)
    else:
        interpreters.run_string(second, code)
    interpreters.destroy(second)
    buying.join(20)
    print(orders[0].state, market.purchase(plan).state, flush=True)
    """
    done = program(body, EMPTY)
    if "no subinterpreters" in done.stderr:
        pytest.skip("no subinterpreters")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[-1] == "committed committed" and len(said) == 2, said
    assert "fulcrum_market belongs to the interpreter" in said[0] or "subinterpreter" in said[0], said


# --- Forks


@linux
def test_a_child_with_its_parents_number_is_a_child_all_the_same(tmp_path: Path) -> None:
    """The first process of a container forks into a namespace of its own, where the child is the first, too."""
    body = """
    import ctypes
    apart = lambda: ctypes.CDLL(None).unshare(0x20000000)
    if apart():
        sys.exit("not allowed")
    first = os.fork()
    if first:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
    market = fulcrum_market.Federation(EMPTY, providers=[Rack()]); market.refresh()
    apart()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))   # a first process ignores what it does not handle
        signal.alarm(15)
        try:
            market.refresh()
        except fulcrum_market.HostError as error:
            print(os.getpid(), error.code, flush=True)
        os._exit(0)
    print(os.getpid(), os.waitpid(child, 0)[1], market.refresh().digest != "", flush=True)
    os._exit(0)
    """
    done = program(body, EMPTY)
    if "not allowed" in done.stderr:
        pytest.skip("no namespaces for this user")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["1 904", "1 0 True"]), done.stderr


@forks
def test_a_child_that_returns_from_a_function_of_the_hosts_ends() -> None:
    body = """
    class Forking(Rack):
        def offers(self, filter):
            child = os.fork()
            if child == 0:
                signal.alarm(10)        # an end by it is no exit
                return []
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            return super().offers(filter)
    market = fulcrum_market.Federation(EMPTY, providers=[Forking()])
    print(len(market.refresh()), market.purchase(market.compose(BLUEPRINT)).state, flush=True)
    """
    done = program(body, EMPTY)
    assert done.returncode == 0 and set(done.stdout.splitlines()) == {"0", "1 committed"}, (done.stdout, done.stderr)
