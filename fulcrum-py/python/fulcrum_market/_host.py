"""Functions of the host's, on threads of Python's own.

Python ends such a thread without a word where its own end comes first. One of the library's it would take down through code
that is no Python, which ends the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import typing

from fulcrum_market._aio import Sinks


class _Reply(typing.Protocol):
    def begin(self) -> None: ...
    def tell(self, value: typing.Any, error: typing.Optional[BaseException]) -> None: ...


_LOG = logging.getLogger("fulcrum_market")
_Function = typing.Callable[..., typing.Any]
_Inbox = typing.Any  # A queue.SimpleQueue of what is to be called, with what, and who is told.

#: So many threads wait for calls to come; others end with their call.
_MAX_IDLE_THREADS = 64
_idle: typing.List[_Inbox] = []


def begin(function: _Function, arguments: typing.Tuple[typing.Any, ...], reply: _Reply) -> typing.Optional[_Inbox]:
    """Begins a call on a thread that waits for one. If none does, answers what `work` begins with on a new one."""
    try:
        inbox, is_new = _idle.pop(), False
    except IndexError:
        inbox, is_new = queue.SimpleQueue(), True
    inbox.put((function, arguments, reply))
    return inbox if is_new else None


def work(inbox: _Inbox) -> None:
    process = os.getpid()
    is_idle = True
    while is_idle:
        function, arguments, reply = inbox.get()
        reply.begin()
        value = error = None
        try:
            value = function(*arguments)
        except BaseException as failure:
            error = failure
        if os.getpid() != process:
            return  # The function has forked, and this is the child: nobody waits for it.
        # Before whoever waits knows: the next call finds this thread.
        is_idle = len(_idle) < _MAX_IDLE_THREADS
        if is_idle:
            _idle.append(inbox)
        try:
            reply.tell(value, error)
        except BaseException:
            pass  # Dropped, the reply tells that there is no answer.
        del function, arguments, reply, value, error


def after_fork() -> None:
    """The threads are the parent's."""
    _idle.clear()


def is_daemon() -> bool:
    """Whether Python's end does not wait for this thread."""
    return threading.current_thread().daemon


def report_progress(progress: _Function, *found: typing.Any) -> bool:
    """Tells how far a search is, and answers whether it goes on. A function that returns nothing does."""
    answer = progress(*found)
    _refuse_coroutine("progress", answer)
    return answer is None or bool(answer)


def report_reconciliation(report: _Function, outcome: typing.Any) -> None:
    """Tells what was found to differ."""
    _refuse_coroutine("report", report(outcome))


def deliver_events(sink: _Function, sinks: typing.Optional[Sinks], events: typing.Any) -> None:
    """Gives events away, to a coroutine too if there are sinks for it."""
    answer = sink(events)
    if not asyncio.iscoroutine(answer):
        return
    if sinks is None:
        answer.close()
        raise TypeError("sink: a coroutine needs an AsyncFederation")
    sinks.run(answer)


def write_logs(events: typing.List[typing.Tuple[int, str, float, typing.Dict[str, str]]], lost: int) -> None:
    """Hands the library's events to the logger, with their own time, and their fields as ``record.fulcrum``."""
    for level, message, at, fields in events:
        if _LOG.isEnabledFor(level):
            record = _LOG.makeRecord(_LOG.name, level, "fulcrum_market", 0, message, (), None, extra={"fulcrum": fields})
            record.created, record.msecs = at, at % 1 * 1000
            _LOG.handle(record)
    if lost:
        _LOG.warning("%d events were lost, as they came faster than they could be written", lost)


def _refuse_coroutine(what: str, answer: typing.Any) -> None:
    if asyncio.iscoroutine(answer):
        answer.close()
        raise TypeError(f"{what}: write a plain function; nobody would await a coroutine")
