"""How the methods of ``AsyncFederation`` become coroutines."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import typing


class _Call(typing.Protocol):
    def begin(self, tell: typing.Callable[[typing.Any, typing.Optional[BaseException]], None]) -> None: ...
    def cancel(self) -> None: ...


_Coroutine = typing.Coroutine[typing.Any, typing.Any, typing.Any]


class Sinks:
    """Coroutines of the host's that a call waits for; they end with it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._tasks: typing.Set[asyncio.Task[typing.Any]] = set()
        self._is_over = False

    def run(self, coroutine: _Coroutine) -> None:
        """Waits for a coroutine, on a thread of the library's."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        has_begun = False

        def begin() -> None:
            nonlocal has_begun
            has_begun = True
            if self._is_over:
                coroutine.close()
                done.cancel()
                return
            task = self.loop.create_task(coroutine)
            self._tasks.add(task)
            task.add_done_callback(finish)

        def finish(task: asyncio.Task[typing.Any]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                done.cancel()
            elif (error := task.exception()) is not None:
                done.set_exception(error)
            else:
                done.set_result(None)

        try:
            self.loop.call_soon_threadsafe(begin)
        except RuntimeError:
            coroutine.close()  # Else the interpreter would complain that nobody has awaited it.
            raise
        while not concurrent.futures.wait([done], timeout=0.1).done:
            if self.loop.is_closed():
                if not has_begun:
                    coroutine.close()
                raise RuntimeError("the event loop is closed")
        done.result()

    def cancel(self) -> None:
        self._is_over = True
        for task in self._tasks:
            try:
                task.cancel()
            except RuntimeError:
                pass  # The loop is closed, and runs nothing any more.

    async def ended(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)


async def run_call(call: _Call, sinks: typing.Optional[Sinks] = None) -> typing.Any:
    """Begins when it is awaited, and ends the call when it ends, by an answer or by a cancellation."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[typing.Any] = loop.create_future()
    is_over = False

    def settle(value: typing.Any, error: typing.Optional[BaseException]) -> None:
        if is_over or answer.done():
            return
        if error is None:
            answer.set_result(value)
            return
        if isinstance(error, StopIteration):
            # No future carries it, as it would pass for the end of the coroutine; a coroutine that raises it says the same.
            said = RuntimeError("a function of yours raised StopIteration")
            said.__cause__ = error
            error = said
        answer.set_exception(error)

    def tell(value: typing.Any, error: typing.Optional[BaseException]) -> None:
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            pass  # The loop is closed: nobody waits any more.

    call.begin(tell)
    try:
        return await answer
    finally:
        is_over = True
        call.cancel()
        if sinks is not None:
            sinks.cancel()
            # Whoever closes a coroutine allows it to wait for nothing.
            if not isinstance(sys.exc_info()[1], GeneratorExit):
                await sinks.ended()
