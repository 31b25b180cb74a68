"""How the methods of ``AsyncFederation`` become coroutines."""

from typing import Any, Awaitable, Callable


async def begun(begin: Callable[[], Awaitable[Any]]) -> Any:
    """Begins when it is awaited: a coroutine that nobody awaits, or that is cancelled before, does nothing."""
    return await begin()
