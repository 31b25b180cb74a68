"""Progress bars, by tqdm's protocol: ``update``, ``set_postfix_str`` and ``close``."""

from __future__ import annotations

import importlib
import sys
import typing
from decimal import Decimal

_Function = typing.Callable[..., typing.Any]


class _Bar(typing.Protocol):
    def update(self, n: float = 1) -> typing.Any: ...
    def set_postfix_str(self, s: str = "", refresh: bool = True) -> typing.Any: ...


class _Reporter:
    """Moves a bar. One of its own ends with it."""

    def __init__(self, bar: typing.Any, is_own: bool) -> None:
        self._bar, self._is_own, self._nodes = bar, is_own, 0

    def __call__(self, incumbent: typing.Optional[Decimal], bound: typing.Optional[Decimal], nodes: int) -> None:
        known = [f"{name} {value:,f}" for name, value in (("best", incumbent), ("bound", bound)) if value is not None]
        self._bar.set_postfix_str(", ".join(known), refresh=False)
        # An explanation is many searches, of which each counts anew.
        self._bar.update(nodes - self._nodes if nodes >= self._nodes else nodes)
        self._nodes = nodes

    def __del__(self) -> None:
        if self._is_own:
            self._bar.close()


def reporter(progress: typing.Any) -> typing.Optional[_Function]:
    """What is called with each news of a search: a function as it is, or one that moves a bar; None for nobody."""
    if progress is None or progress is False:
        return None
    if progress is True:
        bar = _own_bar()
        return None if bar is None else _Reporter(bar, True)
    if hasattr(progress, "set_postfix_str"):
        # tqdm itself, or a bar of it.
        return _Reporter(progress(unit=" nodes"), True) if isinstance(progress, type) else _Reporter(progress, False)
    if callable(progress):
        return typing.cast(_Function, progress)
    raise TypeError(f"progress: write True, a function, or a progress bar such as tqdm's, not {type(progress).__name__}")


def _own_bar() -> typing.Optional[_Bar]:
    """A bar where somebody looks: a terminal or a notebook, and tqdm is installed."""
    is_seen = "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
    if not is_seen:
        return None
    try:
        tqdm = importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return None
    return typing.cast(_Bar, tqdm(unit=" nodes", leave=False))
