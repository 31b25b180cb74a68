"""A cloud of your own as a provider: subclass :class:`Provider` and pass it to ``Federation(config, providers=[…])``.

    class Metal(fulcrum_market.Provider):
        document = {"id": "metal", "name": "Metal", "legal_name": "Metal GmbH", "country": "DE",
                    "regions": [{"id": "de-fra", "country": "DE"}]}
        idempotency = {"provision": {"class": "natural"}, "release": {"class": "natural"}}

        def offers(self, filter):
            yield {"kind": "machine", "sku": "s", "region": "de-fra", "vcpu": 2, "memory_mib": 4096, "disk_gib": 40,
                   "monthly": "5.00", "currency": "EUR", "tax": "net", "observed": "2026-11-25", "source": "ours"}

        def provision(self, request, key):
            return panel.create(name=key, size=request["sku"])     # an operation, as text that survives a restart

Machines are bought from it once it has ``find_by_key``, ``describe``, ``release`` and ``poll``, too: examples/python/provider.py is
whole. Methods may be coroutine functions; each call has a thread of its own. What is refused is raised as one of the library's
exceptions (``CapacityError``, ``QuotaError``, ``ConflictError``, …), or of a class of yours below it. Any other exception of a call that changes something
means that nobody knows what happened: the library looks the key up before it does anything else. ``Federation.run_conformance`` runs
the conformance suite.
"""

from __future__ import annotations

import asyncio
import datetime
import inspect
import json
import logging
import typing

from fulcrum_market import errors
from fulcrum_market._fulcrum import _to_json

__all__ = ["Provider"]

_LOG = logging.getLogger("fulcrum_market")


class Provider:
    """A cloud of the host's own. Write the methods that it can do; the others answer that they are not supported.

    Services are dicts with ``id``, ``key``, ``sku``, ``region``, ``status`` (starting, running, stopped, failed or
    releasing) and, if there are, ``zone`` and ``attributes``.
    """

    #: Who sells, and where the regions are: id, name, legal_name, country, regions.
    document: typing.Dict[str, typing.Any] = {}
    #: For each call that changes something what repeating it does: natural, key, searchable (with list_lag_ms) or none.
    idempotency: typing.Dict[str, typing.Dict[str, typing.Any]] = {}
    #: The most calls at once; None for no limit.
    concurrency: typing.Optional[int] = None
    #: How often an operation may be asked for.
    poll_interval_ms: int = 1000
    #: How long a new service may be missing from look-ups and lists; None for what the class says, which is nothing for
    #: natural and key, and a minute where nothing is known by key.
    list_lag_ms: typing.Optional[int] = None
    #: The settings that it takes; a component with another one is not sold to. None: any. A setting is a name, or a dict
    #: with ``name``, ``type`` (``"text"``, ``"number"``, ``"boolean"``, ``"reference"``, ``{"list": "text"}`` or
    #: ``{"choice": ["ssd", "hdd"]}``), ``kinds`` such as ``["machine"]``, ``required`` and ``about``.
    settings: typing.Optional[typing.Iterable[typing.Union[str, dict[str, typing.Any]]]] = None

    def offers(self, filter: typing.Dict[str, typing.Any]) -> typing.Any:
        """Rows as of a price table, all of them."""
        raise NotImplementedError

    def quote(self, request: typing.Dict[str, typing.Any]) -> typing.Any:
        """What a request costs now: a dict with price and perhaps disk and valid_until."""
        raise NotImplementedError

    def dry_run(self, requests: typing.List[typing.Dict[str, typing.Any]]) -> typing.Any:
        """What would be refused of these purchases now: a list of {"requests": positions, "kind": …, "message": …}."""
        raise NotImplementedError

    def reserve(self, request: typing.Dict[str, typing.Any], key: str) -> typing.Any:
        """Holds what is asked for, free of charge; until when, as text or datetime with a time zone."""
        raise NotImplementedError

    def unreserve(self, key: str) -> typing.Any:
        """Gives back what is held; what is not is success."""
        raise NotImplementedError

    def provision(self, request: typing.Dict[str, typing.Any], key: str) -> typing.Any:
        """Starts one service; the operation's handle as text. The key must stand at the service, or be its name."""
        raise NotImplementedError

    def resume_operation(self, request: typing.Dict[str, typing.Any], service: typing.Dict[str, typing.Any]) -> typing.Any:
        """The handle by which a service goes on that was found starting; None if it comes about by itself.

        Write it where making a service takes more than one call: who began may be gone.
        """
        raise NotImplementedError

    def find_by_key(self, key: str) -> typing.Any:
        """The service of a key, in whatever state, or None after a look that would have shown it."""
        raise NotImplementedError

    def describe(self, service: str) -> typing.Any:
        """One service, or None after proof that there is none."""
        raise NotImplementedError

    def services(self) -> typing.Any:
        """All services that carry a key."""
        raise NotImplementedError

    def act(self, service: str, action: typing.Union[str, typing.Dict[str, typing.Any]], key: str) -> typing.Any:
        """Starts "start", "stop", {"resize": {"sku": …}} or {"other": {"name": …}}; the operation's handle."""
        raise NotImplementedError

    def access(self, service: str) -> typing.Any:
        """What opens a service: a dict of texts, such as user and password. They are kept nowhere."""
        raise NotImplementedError

    def release(self, service: str, key: str) -> typing.Any:
        """Ends a service; the operation's handle. What is gone is success."""
        raise NotImplementedError

    def poll(self, operation: str) -> typing.Any:
        """{"status": "running"}, {"status": "succeeded", "service": …} or {"status": "failed", "reason": …}."""
        raise NotImplementedError

    def usage(self, period: typing.Dict[str, typing.Any]) -> typing.Any:
        """Metered usage of a period."""
        raise NotImplementedError


#: The field of the answer that a method's return value becomes; None if it is the answer itself.
_FIELDS: typing.Dict[str, typing.Optional[str]] = {
    "offers": "rows",
    "quote": None,
    "dry_run": "refusals",
    "reserve": "until",
    "unreserve": "",
    "provision": "operation",
    "resume_operation": "operation",
    "find_by_key": "service",
    "describe": "service",
    "services": "services",
    "act": "operation",
    "access": "values",
    "release": "operation",
    "poll": None,
    "usage": "records",
}

#: As many items, and bytes of all of them, as the library takes; one more is enough for it to refuse the list.
_MAX_ITEMS = {"offers": 100_000, "services": 100_000, "usage": 1_000_000}
_MAX_LIST_BYTES = 256 << 20
#: A longer pause is none that anybody waits for.
_MAX_RETRY_AFTER_S = 366 * 86400

_KINDS: typing.Dict[type, str] = {
    errors.InvalidRequestError: "invalid_request",
    errors.UnauthorisedError: "unauthorised",
    errors.ForbiddenError: "forbidden",
    errors.NotFoundError: "not_found",
    errors.ConflictError: "conflict",
    errors.QuotaError: "quota_exceeded",
    errors.CapacityError: "capacity_exhausted",
    errors.RateLimitError: "rate_limited",
    errors.UnavailableError: "unavailable",
    errors.NotSentError: "not_sent",
    errors.AmbiguousError: "ambiguous",
    errors.ProtocolError: "protocol",
    errors.UnsupportedError: "unsupported",
}


def _describe(provider: Provider) -> str:
    """Who it is and what it can do, as the library reads it."""
    if not isinstance(provider, Provider):
        raise TypeError(f"providers: write instances of fulcrum_market.Provider, not {type(provider).__qualname__}")
    settings = provider.settings
    if isinstance(settings, (str, bytes)):
        raise TypeError(f"settings: write a list of names, such as [{str(settings)!r}]; a text is none")
    calls: typing.List[str] = [
        name for name in _FIELDS if getattr(type(provider), name, None) is not getattr(Provider, name)
    ]
    capabilities = {
        "calls": calls,
        "idempotency": provider.idempotency,
        "concurrency": provider.concurrency,
        "poll_interval_ms": provider.poll_interval_ms,
        "list_lag_ms": provider.list_lag_ms,
        "settings": None if settings is None else list(settings),
    }
    return _to_json({"provider": provider.document, "capabilities": capabilities})


def _answer(provider: Provider, call: str, text: str) -> str:
    """Makes one call. What it raises is told to nobody by more than the name of its class: the text may hold what nobody
    should read in the library's own messages."""
    try:
        value = getattr(provider, call)(**json.loads(text))
        most = _MAX_ITEMS.get(call)
        if most is not None:
            listed = _ListText(call, most)
            if inspect.isasyncgen(value):
                asyncio.run(listed.take_awaited(value))
            else:
                value = asyncio.run(value) if inspect.iscoroutine(value) else value
                if not isinstance(value, typing.Iterable) or isinstance(value, (str, bytes, dict)):
                    return _to_json({_FIELDS[call]: value})
                listed.take(value)
            return listed.text()
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        field = _FIELDS[call]
        if field == "":
            return "{}"
        return _to_json(value if field is None else {field: value})
    except errors.ProviderError as error:
        return _refusal(error)
    except BaseException:
        _LOG.exception("%s.%s failed", type(provider).__qualname__, call)
        raise


class _ListText:
    """The text of a list that grows. What would be too much anyway is not taken: a list may never end."""

    def __init__(self, call: str, most: int) -> None:
        self._call = call
        self._most = most
        self._texts: typing.List[str] = []
        self._length = 0

    def take(self, items: typing.Iterable[typing.Any]) -> None:
        for item in items:
            if self._is_full_with(item):
                return

    async def take_awaited(self, items: typing.AsyncIterable[typing.Any]) -> None:
        async for item in items:
            if self._is_full_with(item):
                return

    def _is_full_with(self, item: typing.Any) -> bool:
        try:
            text = _to_json(item)
        except errors.DocumentError as error:
            if self._call != "offers":
                raise
            # It costs its own row, and stands there as the reason.
            text = json.dumps(str(error))
        self._texts.append(text)
        self._length += len(text)
        return len(self._texts) > self._most or self._length > _MAX_LIST_BYTES

    def text(self) -> str:
        return '{"%s": [%s]}' % (_FIELDS[self._call], ", ".join(self._texts))


def _refusal(error: errors.ProviderError) -> str:
    """What a provider refuses; whatever its words are, it stays one."""
    kind = next((_KINDS[it] for it in type(error).__mro__ if it in _KINDS), "protocol")
    told: typing.Dict[str, typing.Any] = {"kind": kind}
    try:
        # Half of a character has no form in a document.
        told["message"] = str(error).encode("utf-8", "replace").decode()
    except BaseException:
        told["message"] = type(error).__qualname__
    try:
        after: typing.Any = getattr(error, "retry_after", None)
        seconds = after.total_seconds() if isinstance(after, datetime.timedelta) else float(after)
        if 0 <= seconds < _MAX_RETRY_AFTER_S:
            told["retry_after_ms"] = int(seconds * 1000)
    except BaseException:
        pass  # It says nothing, or what is no time.
    return json.dumps({"error": told})
