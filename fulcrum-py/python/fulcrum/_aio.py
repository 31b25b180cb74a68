"""How the methods of ``AsyncFederation`` become coroutines."""

import typing


async def begun(begin: typing.Callable[[], typing.Awaitable[typing.Any]]) -> typing.Any:
    """Begins when it is awaited: a coroutine that nobody awaits, or that is cancelled before, does nothing."""
    return await begin()
