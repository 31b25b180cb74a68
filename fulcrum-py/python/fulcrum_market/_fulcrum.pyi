from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from os import PathLike
from typing import Any, Literal, Optional, Union, final, overload
from uuid import UUID

from . import documents
from .answers import (
    Explanation, FeeLine, Frontier, Lease, Metric, MoveLine, Offer, Offers, Rejection, Service, Timeline, TrafficLine,
)  # fmt: skip
from .errors import FulcrumError
from ._progress import _Bar
from .provider import Provider
from .words import Measure, OrderState, StopReason

_Path = Union[str, PathLike[str]]
# YAML or JSON text, a pathlib.Path of such a file, or what it says. A text never names a file.
_Document = Union[str, PathLike[str], dict[str, Any]]
# An order, its id, or a UUID that is to be its id.
_Id = Union[str, UUID, "Order"]
# Seconds, or a timedelta.
_Time = Union[float, timedelta]
# An offer's id, or what has one.
_Offer = Union[str, Offer, Lease]
# Incumbent and bound (per month, in the blueprint's currency), nodes done; False stops the search.
_Progress = Callable[[Optional[Decimal], Optional[Decimal], int], Optional[bool]]

__all__ = [
    "Access", "AsyncFederation", "Catalogue", "Events", "Federation", "Order", "Plan", "__version__", "_arrow_stream", "_to_json", "verify_archive",
]  # fmt: skip
__version__: str

def _arrow_stream(columns: list[tuple[str, str]], rows: list[dict[str, Any]]) -> object: ...
def _to_json(value: Any) -> str: ...
def verify_archive(archive: Union[_Document, documents.OrderArchive]) -> None:
    """Checks an archive of Federation.export() without a ledger: no event was changed, removed or added, the order is where
    its events lead, and plan, policy, keys and leases are those of its first event.

    Raises:
        LedgerError: The archive does not prove itself; the text names what differs.
        DocumentError: It is not an archive.
    """

@final
class Catalogue:
    """A snapshot of all offers. Thread-safe."""

    @property
    def digest(self) -> str:
        """BLAKE3 of the offers."""
    @property
    def sources(self) -> list[documents.SourceReport]:
        """For each provider: whether its offers are fresh, stale or missing, and why."""
    @property
    def quarantined(self) -> list[documents.Quarantined]:
        """Offers that were left out for zero or absurd prices, and why."""
    def offers(
        self,
        *,
        kind: Union[str, Iterable[str], None] = None,
        provider: Union[str, Iterable[str], None] = None,
        sku: Union[str, Iterable[str], None] = None,
        region: Union[str, Iterable[str], None] = None,
        country: Union[str, Iterable[str], None] = None,
        vcpu: Union[Decimal, float, str, None] = None,
        memory: Optional[str] = None,
        disk: Optional[str] = None,
        gpu: Optional[int] = None,
        attributes: Optional[dict[str, str]] = None,
        where: Optional[_Document] = None,
        currency: Optional[str] = None,
        max_monthly: Union[Decimal, float, str, None] = None,
        max_age: Union[timedelta, int, None] = None,
        sort: Optional[Literal["price", "id"]] = None,
        first_per: Optional[Literal["provider", "region", "zone", "country"]] = None,
        offset: Optional[int] = None,
        limit: Optional[int] = None,
    ) -> Offers:
        """Offers that can hold what is asked for, cheapest first, each with what a month of it costs, net, in one currency.

        The price has surcharges, such as an address, and a disk beyond the machine's own. If nothing matches,
        ``offers.no_match`` says which condition is to blame, and what there is.

            >>> offers = market.offers(kind="machine", vcpu=4, memory="16 GiB", country=["DE", "FI"])
            >>> offers[0].monthly <= offers[1].monthly, offers.currency
            (True, 'EUR')
            >>> print(market.offers(kind="machine", gpu=1, attributes={"gpu_model": "H100"}).no_match)
            no offer matches; ... `where.attributes.gpu_model` asks for H100, and they have ...

        Args:
            kind: ``"machine"``, ``"database"`` … or several; see ``OfferKind``.
            provider, sku, region, country: Only these; one or several.
            vcpu, gpu: At least so many.
            memory, disk: At least so much, such as ``"16 GiB"`` or ``"500 GB"``; of storage the size to price.
            attributes: What the offer must have, such as ``{"architecture": "arm64"}``.
            where: Further conditions, as in blueprints.
            currency: Of all prices; EUR unless said.
            max_monthly: At most so much.
            max_age: No price older than so many days, or than a ``timedelta``.
            sort: ``"price"``, or ``"id"``, which keeps offers without an exchange rate.
            first_per: Only the first of each provider, region, zone or country.

        Raises:
            ValueError: A size, an amount or a word is not one.
            DocumentError: ``where`` is wrong; the text has path and line.
            TypeError: There is no such argument.
        """
    def query(self, query: Optional[_Document] = None) -> list[documents.Offer]:
        """Offers as the catalogue has them, cheapest first, for a query document: ``kinds``, ``where``, ``at_least``,
        ``max_monthly``, ``currency``, ``offset``, ``limit`` … Their prices are the providers' own; see offers().

        Raises:
            DocumentError: The query is wrong; the text has path and line.
        """
    def __len__(self) -> int: ...

@final
class Plan:
    """Which offers, where, how many, and what they cost; amounts are net and Decimal.

    A sequence of its leases. It prints as a table whose rows add up, in a notebook too. It can be pickled; a plan that was
    read, or unpickled, only claims to be optimal, so that ``is_optimal`` is False there.
    """

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Reads a plan that to_json() wrote.

        Raises:
            DocumentError: The text is not a plan of a format that this version reads.
        """
    def approval_digest(self, policy: Optional[_Document] = None) -> str:
        """The digest of this plan and a policy: have it approved, and name it to ``purchase(approved=…)``."""
    def to_json(self) -> str:
        """As JSON text."""
    def to_dict(self) -> documents.Plan:
        """As a dict, with amounts as text."""
    @property
    def blueprint(self) -> str:
        """The name of the blueprint."""
    @property
    def leases(self) -> list[Lease]:
        """What is bought, each with its offer, place, replicas, price lines, and what a month costs."""
    @property
    def traffic(self) -> list[TrafficLine]:
        """What traffic costs."""
    @property
    def fees(self) -> list[FeeLine]:
        """What the providers cost besides what is bought from them."""
    @property
    def moves(self) -> list[MoveLine]:
        """What it costs to move replicas that run already."""
    @property
    def measures(self) -> dict[Measure, Decimal]:
        """Every figure that the objective or a limit looks at, and the cost; lower is better."""
    @property
    def objective_measure(self) -> Optional[Measure]:
        """The measure that ``objective`` is of; None if it is a weighted sum."""
    @property
    def stop(self) -> StopReason:
        """Why the search stopped."""
    @property
    def horizon_months(self) -> Optional[int]:
        """Months over which the cost was minimised."""
    @property
    def total(self) -> Optional[Decimal]:
        """What the plan commits to over its horizon, everything included."""
    @property
    def currency(self) -> str:
        """ISO 4217."""
    @property
    def monthly(self) -> Decimal:
        """What a month costs, without set-up fees."""
    @property
    def once(self) -> Decimal:
        """What is paid at the start."""
    @property
    def objective(self) -> Decimal:
        """What was minimised: of cost a month with its share of the set-up fees; see ``objective_measure`` for others."""
    @property
    def bound(self) -> Decimal:
        """No plan is below it, proven."""
    @property
    def gap_percent(self) -> Decimal:
        """How far ``bound`` is below ``objective``, in per cent; 0 if proven best."""
    @property
    def is_optimal(self) -> bool:
        """Whether the plan is proven to be the best."""
    def _repr_html_(self) -> str:
        """The table of str(), for notebooks."""
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Lease]: ...
    @overload
    def __getitem__(self, at: int, /) -> Lease: ...
    @overload
    def __getitem__(self, at: slice, /) -> list[Lease]: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Order:
    """The durable purchase of a plan, as it was when this object was made. It can be compared and pickled."""

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Reads an order that to_json() wrote.

        Raises:
            DocumentError: The text is not an order.
        """
    @property
    def id(self) -> str:
        """The order's id, a UUID."""
    @property
    def state(self) -> OrderState:
        """How far it is; ``OrderState`` is a str, so that ``order.state == "committed"`` may be asked."""
    @property
    def created(self) -> datetime:
        """When it was accepted."""
    @property
    def is_committed(self) -> bool:
        """Whether all services exist."""
    @property
    def reason(self) -> Optional[str]:
        """Why it does not go on as planned, for people; None if it does."""
    @property
    def plan(self) -> Plan:
        """What is bought; after a fail-over the newest plan."""
    @property
    def monthly(self) -> Optional[Decimal]:
        """What a month costs at the prices that were last checked, without set-up fees."""
    @property
    def once(self) -> Optional[Decimal]:
        """What was paid at the start, at the prices that were last checked."""
    @property
    def services(self) -> list[Service]:
        """Services that the order has made and still has, each with its provider, id, status and attributes."""
    @property
    def sold_out(self) -> set[str]:
        """Offers that could not be had: pass them to compose(exclude=…) and buy the new plan."""
    def to_json(self) -> str:
        """The order with its steps and services as JSON text."""
    def to_dict(self) -> documents.Order:
        """The same as a dict."""
    def _repr_html_(self) -> str:
        """The table of str(), for notebooks."""
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Events:
    """Events of one order, for both ``for`` and ``async for``: those of the past first, until the order is final."""

    def __iter__(self) -> Events: ...
    def __next__(self) -> documents.OrderEvent:
        """Waits for the next one; other threads run meanwhile, and Ctrl-C ends the wait."""
    def __aiter__(self) -> Events: ...
    def __anext__(self) -> Coroutine[Any, Any, documents.OrderEvent]: ...

@final
class Access:
    """What opens a service: names such as ``user`` and ``password``, and their secret values, which ``repr()`` does not show."""

    @property
    def names(self) -> list[str]:
        """All names, in alphabetical order."""
    def reveal(self, name: str) -> str:
        """The value of a name. Keep it from logs and files.

        Raises:
            KeyError: There is none.
        """
    def __len__(self) -> int: ...
    def __contains__(self, name: str) -> bool: ...

@final
class Federation:
    """Several providers as one market. Thread-safe; calls release the interpreter, and Ctrl-C ends them.

        >>> from fulcrum_market import examples
        >>> with examples.market() as market:
        ...     print(len(market.offers(kind="machine", vcpu=2)) > 10)
        True

    It belongs to the process that opened it: in a forked child its methods raise HostError, and the child opens one of its
    own.
    """

    def __new__(
        cls,
        config: _Document,
        *,
        base: Optional[_Path] = None,
        providers: Optional[Sequence[Provider]] = None,
        reach: Optional[_Document] = None,
    ) -> Federation:
        """Opens a federation from a configuration that anybody may have written.

        It reads and writes files below ``base``, or the working folder, and sends each secret only to the public API that it is for.
        ``reach`` lets it do more: ``{"trusted": True}``, or ``folders``, ``credentials`` and ``ledgers``; see docs/python.md.
        A file of your own is opened by open(). ``providers`` are clouds of your own, besides those of the configuration; see
        fulcrum_market.provider.

        Raises:
            DocumentError: The configuration is wrong, or it asks for more than ``reach`` allows; the text has path and line.
            LedgerError: The ledger cannot be opened.
            HostError: The process gives no thread.
        """
    def run_conformance(
        self,
        provider: str,
        *,
        sku: Optional[str] = None,
        settings: Optional[dict[str, Any]] = None,
        timeout: Optional[_Time] = None,
    ) -> dict[str, Any]:
        """Runs the conformance suite at a provider: ``checks`` with name and outcome, ``is_passed``, and all as ``text``.

        With a ``sku`` it is bought a few times and ended again; at a real cloud that costs money. One list or operation may
        take ``timeout`` seconds, 60 unless said.

        Raises:
            DocumentError: There is no such provider, or it does not sell the SKU.
            ValueError: ``timeout`` is not a number of seconds.
        """
    @classmethod
    def open(cls, path: _Path) -> Federation:
        """Opens a federation from a configuration file of the operator's, which is trusted; relative paths start at its folder.

        Raises:
            DocumentError: The configuration is wrong; the text has path and line.
            LedgerError: The ledger cannot be opened.
        """
    @property
    def catalogue(self) -> Catalogue:
        """The present catalogue; empty before the first refresh()."""
    def offers(
        self,
        *,
        kind: Union[str, Iterable[str], None] = None,
        provider: Union[str, Iterable[str], None] = None,
        sku: Union[str, Iterable[str], None] = None,
        region: Union[str, Iterable[str], None] = None,
        country: Union[str, Iterable[str], None] = None,
        vcpu: Union[Decimal, float, str, None] = None,
        memory: Optional[str] = None,
        disk: Optional[str] = None,
        gpu: Optional[int] = None,
        attributes: Optional[dict[str, str]] = None,
        where: Optional[_Document] = None,
        currency: Optional[str] = None,
        max_monthly: Union[Decimal, float, str, None] = None,
        max_age: Union[timedelta, int, None] = None,
        sort: Optional[Literal["price", "id"]] = None,
        first_per: Optional[Literal["provider", "region", "zone", "country"]] = None,
        offset: Optional[int] = None,
        limit: Optional[int] = None,
    ) -> Offers:
        """Offers of the present catalogue; as Catalogue.offers().

        Raises:
            ValueError: A size, an amount or a word is not one.
            DocumentError: ``where`` is wrong; the text has path and line.
        """
    def metrics(self) -> list[Metric]:
        """The library's counters and times of this process, of all its federations: orders by state, failed attempts, calls
        to providers, writes of the ledger. Nothing in it names an order or a customer.

        Raises:
            ValueError: The federation is closed.
        """
    def settings_schema(self, provider: str, kind: str) -> dict[str, Any]:
        """The JSON Schema of the settings that a provider takes with a kind of product, such as ``"machine"``.

        Raises:
            PurchaseError: There is no such provider.
            ValueError: ``kind`` is not a kind of product.
        """
    @property
    def sources(self) -> list[documents.SourceReport]:
        """How each provider answered the last refresh(): provider, state (fresh, stale or missing, and why), offers."""
    def refresh(self) -> Catalogue:
        """Asks all providers for their offers. A provider that fails leaves the others usable."""
    def compose(
        self,
        blueprint: _Document,
        *,
        timeout: Optional[_Time] = None,
        gap_percent: Union[Decimal, float, str, None] = None,
        threads: int = 1,
        exclude: Optional[Iterable[_Offer]] = None,
        exclude_providers: Optional[Iterable[str]] = None,
        offers: Optional[Literal["orderable", "all"]] = None,
        progress: Union[_Progress, _Bar, bool, None] = None,
    ) -> Plan:
        """The cheapest plan. After ``timeout`` (seconds, or a timedelta) the best so far, or StoppedError.

            >>> plan = market.compose({"name": "app", "components": {"web": {"vcpu": 2, "memory_mib": 4096, "replicas": 2}}})
            >>> plan.is_optimal, sum(lease.monthly for lease in plan) == plan.monthly
            (True, True)

        Searches on so many ``threads``, up to 64; for the same number the answer is the same each time. A plan uses only
        offers that can be ordered, if any configured provider sells; ``offers="all"`` compares those of tables, too.

        ``progress`` is called now and then on this thread; if it returns False the best so far is the answer, and an
        exception in it ends the search and comes out here. It may also be ``tqdm`` or a bar of it; True draws one in a
        terminal or a notebook where tqdm is installed, and nothing elsewhere.

        Raises:
            DocumentError: The blueprint is wrong; the text has path and line.
            InfeasibleError: Nothing fits; the error has the ``conditions`` that clash, the ``ways_out`` and the ``cheapest`` price.
            StoppedError: The time was over before a plan was found.
        """
    def explain(
        self,
        blueprint: _Document,
        plan: Plan,
        *,
        timeout: Optional[_Time] = None,
        progress: Union[_Progress, _Bar, bool, None] = None,
    ) -> Explanation:
        """Why a plan is as it is: ``binding`` (what each condition costs), ``runners_up`` (the best plan without each
        provider), ``entry_discounts`` (at what discount another provider would get in); ``str()`` says it in words.

            >>> app = {"name": "app", "components": {"web": {"vcpu": 2}}, "where": {"countries": {"allow": ["FI"]}}}
            >>> said = market.explain(app, market.compose(app), timeout=30)
            >>> [runner_up.without for runner_up in said.runners_up] == [market.compose(app)[0].provider]
            True

        Raises:
            ComposeError: The plan is not one of this blueprint over the present catalogue.
        """
    def why_not(
        self,
        blueprint: _Document,
        plan: Plan,
        offer: _Offer,
        *,
        timeout: Optional[_Time] = None,
        progress: Union[_Progress, _Bar, bool, None] = None,
    ) -> Rejection:
        """Why an offer is not in a plan: ``reasons``, and how much ``more`` the best plan with it costs.

        Raises:
            ComposeError: The plan is not one of this blueprint over the present catalogue.
            ValueError: ``offer`` is not an offer's id.
            TypeError: It is neither text, nor an offer, nor a lease.
        """
    def pareto(
        self,
        blueprint: _Document,
        measures: Sequence[str],
        *,
        step: Union[Decimal, float, str, None] = None,
        timeout: Optional[_Time] = None,
        progress: Union[_Progress, _Bar, bool, None] = None,
    ) -> Frontier:
        """All trade-offs between two measures such as ``("cost", "carbon")``, from the best in the first to the best in
        the second, at least ``step`` apart in the second. Where ``is_complete`` of the answer is False, there may be more.

            >>> app = {"name": "app", "components": {"web": {"vcpu": 2, "replicas": 2}}}
            >>> frontier = market.pareto(app, ["cost", "providers"])
            >>> frontier.is_complete, len(frontier)
            (True, 1)

        Raises:
            InfeasibleError: Nothing fits.
            ValueError: A measure is not known.
        """
    def purchase(
        self,
        plan: Plan,
        policy: Optional[_Document] = None,
        *,
        id: Optional[_Id] = None,
        approved: Optional[str] = None,
    ) -> Order:
        """Buys all of a plan or nothing. With an ``id`` repeating the call is safe; ``approved`` is what
        ``Plan.approval_digest`` said of the plan and policy that somebody has approved: nothing else is bought.

            >>> plan = market.compose({"name": "app", "components": {"web": {"vcpu": 2}}})
            >>> order = market.purchase(plan, approved=plan.approval_digest())
            >>> order.state
            OrderState.COMMITTED
            >>> market.cancel(order).state == "ended"
            True

        Raises:
            PurchaseError: The plan is refused before anything is bought, such as one that ``approved`` does not name.
            DocumentError: The policy is wrong.
            LedgerError: The ledger failed; an order that was written down is resumable.
        """
    def dry_run(self, plan: Plan, policy: Optional[_Document] = None) -> documents.DryRun:
        """What a purchase would be refused for now; buys and records nothing. Checks prices, and asks each provider for
        everything up to the first call that would cost something, such as credentials, quotas, images and keys.

        Returns:
            ``refusals``, and ``unchecked``, of which nothing is known: of each the ``provider``, its ``leases`` as positions in
            the plan, their ``offers``, a ``kind`` and a ``reason``.

        Raises:
            PurchaseError: The plan would not be accepted at all.
            DocumentError: The policy is wrong.
        """
    def accept(
        self,
        plan: Plan,
        policy: Optional[_Document] = None,
        *,
        id: Optional[_Id] = None,
        approved: Optional[str] = None,
    ) -> Order:
        """Writes an order down without buying yet; see drive().

        Raises:
            PurchaseError: The plan is refused.
            DocumentError: The policy is wrong.
            LedgerError: The ledger failed.
        """
    def drive(self, id: _Id) -> Order:
        """Drives an order until it is final, and returns it.

        Raises:
            OrderNotFoundError: The ledger has no such order.
        """
    def resume(self) -> list[Order]:
        """Takes up every order that an earlier run left unfinished. Call it once at the start.

        Raises:
            LedgerError: The ledger failed.
        """
    def cancel(self, id: _Id, *, who: Optional[str] = None, why: Optional[str] = None) -> Order:
        """Ends all services of an order, or stops one that is under way.

        Raises:
            OrderNotFoundError: The ledger has no such order.
            PurchaseError: ``who`` or ``why`` is empty while the other one is given.
        """
    def retry(self, id: _Id, *, who: str, why: str) -> Order:
        """Tries once more to undo a stuck order; ``who`` and ``why`` are recorded.

        Raises:
            OrderNotFoundError: The ledger has no such order.
            PurchaseError: The order is not stuck, or ``who`` or ``why`` is empty.
        """
    def abandon(self, id: _Id, *, who: str, why: str) -> Order:
        """Gives a stuck order up, though something of it may be left at a provider and cost money.

        Raises:
            OrderNotFoundError: The ledger has no such order.
            PurchaseError: The order is not stuck, or ``who`` or ``why`` is empty.
        """
    def settle(self, id: _Id, step: int, *, who: str, why: str, evidence: str) -> Order:
        """Says that nothing is left of a stuck step, and by which evidence; with the last one the order is over.

        Raises:
            OrderNotFoundError: The ledger has no such order.
            PurchaseError: The step is not stuck, or ``who``, ``why`` or ``evidence`` is empty.
        """
    def act(self, id: _Id, step: int, action: Union[str, dict[str, Any]], *, who: str, why: str) -> Order:
        """Does something to one service of a committed order: ``"start"``, ``"stop"``, ``{"resize": {"sku": "…"}}`` or
        ``{"other": {"name": "…"}}``. What is as wanted already is left alone. If the provider refuses, the order's
        reason says so.

        Raises:
            OrderNotFoundError: The ledger has no such order.
            PurchaseError: The step has no service, its provider cannot do that, or ``who`` or ``why`` is empty.
            DocumentError: The action is not one of these.
        """
    def release(self, id: _Id, step: int, *, who: str, why: str) -> Order:
        """Ends one service of a committed order; with the last one the order is over.

        Raises:
            OrderNotFoundError: The ledger has no such order.
            PurchaseError: The step has no service, or ``who`` or ``why`` is empty.
        """
    def serve(self, *, concurrency: int = 16, timeout: Optional[_Time] = None) -> None:
        """Drives whatever orders wait in the ledger, side by side with other hosts, ``concurrency`` at a time, for ``timeout`` seconds or
        until Ctrl-C. What is under way then is left as it is, for another host or a later run.
        """
    def orders(
        self,
        *,
        state: Optional[str] = None,
        unfinished: bool = False,
        since: Optional[datetime] = None,
        before: Optional[_Id] = None,
        limit: int = 100,
    ) -> list[Order]:
        """One page of the ledger's orders, newest first, at most 1,000.

            >>> from datetime import datetime, timedelta, timezone
            >>> market.orders(state="stuck", since=datetime.now(timezone.utc) - timedelta(days=7))
            []

        Args:
            state: Only orders in this state, such as ``"stuck"``.
            unfinished: Only orders with which a host has something to do.
            since: Only orders that were accepted in this second or later.
            before: The id of the last order of the page before.

        Raises:
            LedgerError: The ledger failed.
            ValueError: There is no such state, ``before`` is not an order's id, or ``since`` has no time zone.
        """
    def order(self, id: _Id) -> Optional[Order]:
        """An order as it is in the ledger; None if it is not there.

        Raises:
            LedgerError: The ledger failed.
            ValueError: ``id`` is not an order's id.
        """
    def events(self, id: _Id) -> list[documents.OrderEvent]:
        """What has happened to an order so far, oldest first; see follow().

        Raises:
            LedgerError: The ledger failed.
        """
    def follow(self, id: _Id) -> Events:
        """The order's events, those of the past first, then as they happen, until it is final.

        Raises:
            OrderNotFoundError: The ledger has no such order.
        """
    def reconcile(self, repair: Optional[_Document] = None) -> documents.Reconciliation:
        """Compares what the providers have with what the ledger holds.

        ``findings`` are dicts with ``kind`` (orphan, duplicate, missing, drifted or unknown), ``provider``, ``service``,
        ``order``, ``step`` and ``evidence``. Without ``repair`` nothing is changed. With it, as in ``{"orphans":
        "release", "duplicates": "release", "missing": "record", "drifted": "record"}``, services too many are ended
        (``repaired``, or ``unrepaired`` with a ``reason``) and others written into their order (``recorded``).

        A provider that fails is in ``failed`` and one that cannot be listed in ``unlisted``; neither ends the call.

        Raises:
            DocumentError: ``repair`` is wrong.
            LedgerError: The ledger failed.
        """
    def reconcile_every(
        self,
        interval: _Time,
        report: Callable[[Union[documents.Reconciliation, FulcrumError]], object],
        *,
        repair: Optional[_Document] = None,
        timeout: Optional[_Time] = None,
    ) -> None:
        """Reconciles at once and then again ``interval`` seconds after each end, for ``timeout`` seconds or until Ctrl-C.

        ``report`` gets what reconcile() answers, or the exception with which it failed; what it raises ends this call.

        Raises:
            DocumentError: ``repair`` is wrong.
        """
    def export(self, id: _Id) -> documents.OrderArchive:
        """An order with all that ever happened to it, as a document that proves itself; see verify_archive().

        Raises:
            OrderNotFoundError: The ledger has no such order.
        """
    def forget(self, before: datetime) -> int:
        """Removes the orders that are ended, failed or refused and to which nothing has happened since ``before``; answers how many.
        Orders of which something exists, or may exist, stay.

        Raises:
            ValueError: ``before`` has no time zone.
            LedgerError: The ledger failed.
        """
    def access(self, id: _Id, step: int) -> Access:
        """What opens the service of a step, such as the user name and the password of a database.

        Nothing of it is recorded; it is the same when it is asked for again.

        Raises:
            OrderNotFoundError: The ledger has no such order.
            PurchaseError: The step has no service.
            ProviderError: The provider has nothing of the kind, or does not answer.
        """
    def timeline(self, id: _Id) -> Timeline:
        """What has happened to an order so far, in words for people.

        Raises:
            OrderNotFoundError: The ledger has no such order.
        """
    def close(self) -> None:
        """Lets go of the ledger and the providers' connections. What is under way goes on to its end; later calls are refused.
        ``with`` closes too.
        """
    def __enter__(self) -> Federation: ...
    def __exit__(self, *_exception: object) -> None: ...
    def deliver(
        self, consumer: str, sink: Callable[[list[documents.OrderEvent]], object], *, timeout: Optional[_Time] = None
    ) -> None:
        """Gives the events of all orders to ``sink``, in batches and in order, for ``timeout`` seconds or until Ctrl-C.

        How far it has come is kept in the ledger under ``consumer``: a later run goes on there. A batch counts as delivered
        when ``sink`` returns. If it raises an Exception the batch comes again after a pause. It comes again, too, where
        this process dies before the ledger knows: remember the highest ``sequence`` that was dealt with, and skip what is
        not above it.
        """

@final
class AsyncFederation:
    """As Federation, awaited. Cancelling a purchase leaves an order that resume() takes up, and so does the end of
    ``asyncio.run``, which cancels what is under way.
    """

    @classmethod
    def create(
        cls,
        config: _Document,
        *,
        base: Optional[_Path] = None,
        providers: Optional[Sequence[Provider]] = None,
        reach: Optional[_Document] = None,
    ) -> Coroutine[Any, Any, AsyncFederation]:
        """As Federation()."""
    def run_conformance(
        self,
        provider: str,
        *,
        sku: Optional[str] = None,
        settings: Optional[dict[str, Any]] = None,
        timeout: Optional[_Time] = None,
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """As Federation.run_conformance()."""
    @classmethod
    def open(cls, path: _Path) -> Coroutine[Any, Any, AsyncFederation]:
        """As Federation.open()."""
    @property
    def catalogue(self) -> Catalogue:
        """As Federation.catalogue."""
    def offers(
        self,
        *,
        kind: Union[str, Iterable[str], None] = None,
        provider: Union[str, Iterable[str], None] = None,
        sku: Union[str, Iterable[str], None] = None,
        region: Union[str, Iterable[str], None] = None,
        country: Union[str, Iterable[str], None] = None,
        vcpu: Union[Decimal, float, str, None] = None,
        memory: Optional[str] = None,
        disk: Optional[str] = None,
        gpu: Optional[int] = None,
        attributes: Optional[dict[str, str]] = None,
        where: Optional[_Document] = None,
        currency: Optional[str] = None,
        max_monthly: Union[Decimal, float, str, None] = None,
        max_age: Union[timedelta, int, None] = None,
        sort: Optional[Literal["price", "id"]] = None,
        first_per: Optional[Literal["provider", "region", "zone", "country"]] = None,
        offset: Optional[int] = None,
        limit: Optional[int] = None,
    ) -> Offers:
        """As Federation.offers(), which waits for nothing.

        Raises:
            ValueError: A size, an amount or a word is not one.
            DocumentError: ``where`` is wrong; the text has path and line.
        """
    def metrics(self) -> list[Metric]:
        """As Federation.metrics(), which waits for nothing."""
    def settings_schema(self, provider: str, kind: str) -> dict[str, Any]:
        """As Federation.settings_schema()."""
    @property
    def sources(self) -> list[documents.SourceReport]:
        """As Federation.sources."""
    def refresh(self) -> Coroutine[Any, Any, Catalogue]:
        """As Federation.refresh()."""
    def compose(
        self,
        blueprint: _Document,
        *,
        timeout: Optional[_Time] = None,
        gap_percent: Union[Decimal, float, str, None] = None,
        threads: int = 1,
        exclude: Optional[Iterable[_Offer]] = None,
        exclude_providers: Optional[Iterable[str]] = None,
        offers: Optional[Literal["orderable", "all"]] = None,
        progress: Union[_Progress, _Bar, bool, None] = None,
    ) -> Coroutine[Any, Any, Plan]:
        """As Federation.compose. ``progress`` is a plain function, called on a thread of the library's: to touch what
        belongs to the event loop, hand it over with ``loop.call_soon_threadsafe``. Cancelling ends the search.
        """
    def explain(
        self,
        blueprint: _Document,
        plan: Plan,
        *,
        timeout: Optional[_Time] = None,
        progress: Union[_Progress, _Bar, bool, None] = None,
    ) -> Coroutine[Any, Any, Explanation]:
        """As Federation.explain()."""
    def why_not(
        self,
        blueprint: _Document,
        plan: Plan,
        offer: _Offer,
        *,
        timeout: Optional[_Time] = None,
        progress: Union[_Progress, _Bar, bool, None] = None,
    ) -> Coroutine[Any, Any, Rejection]:
        """As Federation.why_not()."""
    def pareto(
        self,
        blueprint: _Document,
        measures: Sequence[str],
        *,
        step: Union[Decimal, float, str, None] = None,
        timeout: Optional[_Time] = None,
        progress: Union[_Progress, _Bar, bool, None] = None,
    ) -> Coroutine[Any, Any, Frontier]:
        """As Federation.pareto()."""
    def purchase(
        self,
        plan: Plan,
        policy: Optional[_Document] = None,
        *,
        id: Optional[_Id] = None,
        approved: Optional[str] = None,
    ) -> Coroutine[Any, Any, Order]:
        """As Federation.purchase()."""
    def dry_run(self, plan: Plan, policy: Optional[_Document] = None) -> Coroutine[Any, Any, documents.DryRun]:
        """As Federation.dry_run()."""
    def accept(
        self,
        plan: Plan,
        policy: Optional[_Document] = None,
        *,
        id: Optional[_Id] = None,
        approved: Optional[str] = None,
    ) -> Coroutine[Any, Any, Order]:
        """As Federation.accept()."""
    def drive(self, id: _Id) -> Coroutine[Any, Any, Order]:
        """As Federation.drive()."""
    def resume(self) -> Coroutine[Any, Any, list[Order]]:
        """As Federation.resume()."""
    def cancel(
        self, id: _Id, *, who: Optional[str] = None, why: Optional[str] = None
    ) -> Coroutine[Any, Any, Order]:
        """As Federation.cancel()."""
    def retry(self, id: _Id, *, who: str, why: str) -> Coroutine[Any, Any, Order]:
        """As Federation.retry()."""
    def abandon(self, id: _Id, *, who: str, why: str) -> Coroutine[Any, Any, Order]:
        """As Federation.abandon()."""
    def settle(self, id: _Id, step: int, *, who: str, why: str, evidence: str) -> Coroutine[Any, Any, Order]:
        """As Federation.settle()."""
    def act(
        self, id: _Id, step: int, action: Union[str, dict[str, Any]], *, who: str, why: str
    ) -> Coroutine[Any, Any, Order]:
        """As Federation.act()."""
    def release(self, id: _Id, step: int, *, who: str, why: str) -> Coroutine[Any, Any, Order]:
        """As Federation.release()."""
    def serve(self, *, concurrency: int = 16, timeout: Optional[_Time] = None) -> Coroutine[Any, Any, None]:
        """As Federation.serve()."""
    def orders(
        self,
        *,
        state: Optional[str] = None,
        unfinished: bool = False,
        since: Optional[datetime] = None,
        before: Optional[_Id] = None,
        limit: int = 100,
    ) -> Coroutine[Any, Any, list[Order]]:
        """As Federation.orders()."""
    def order(self, id: _Id) -> Coroutine[Any, Any, Optional[Order]]:
        """As Federation.order()."""
    def events(self, id: _Id) -> Coroutine[Any, Any, list[documents.OrderEvent]]:
        """As Federation.events()."""
    def follow(self, id: _Id) -> Events:
        """The order's events, those of the past first, then as they happen, until it is final.

        The first one that is awaited raises OrderNotFoundError if the ledger has no such order by then.
        """
    def reconcile(self, repair: Optional[_Document] = None) -> Coroutine[Any, Any, documents.Reconciliation]:
        """As Federation.reconcile()."""
    def reconcile_every(
        self,
        interval: _Time,
        report: Callable[[Union[documents.Reconciliation, FulcrumError]], object],
        *,
        repair: Optional[_Document] = None,
        timeout: Optional[_Time] = None,
    ) -> Coroutine[Any, Any, None]:
        """As Federation.reconcile_every. ``report`` is a plain function, called on a thread of the library's: to touch what
        belongs to the event loop, hand it over with ``loop.call_soon_threadsafe``. Cancelling ends it.
        """
    def export(self, id: _Id) -> Coroutine[Any, Any, documents.OrderArchive]:
        """As Federation.export()."""
    def forget(self, before: datetime) -> Coroutine[Any, Any, int]:
        """As Federation.forget()."""
    def access(self, id: _Id, step: int) -> Coroutine[Any, Any, Access]:
        """As Federation.access()."""
    def timeline(self, id: _Id) -> Coroutine[Any, Any, Timeline]:
        """As Federation.timeline()."""
    def close(self) -> Coroutine[Any, Any, None]:
        """As Federation.close(); ``async with`` closes too."""
    def __aenter__(self) -> Coroutine[Any, Any, AsyncFederation]: ...
    def __aexit__(self, *_exception: object) -> Coroutine[Any, Any, None]: ...
    def deliver(
        self, consumer: str, sink: Callable[[list[documents.OrderEvent]], object], *, timeout: Optional[_Time] = None
    ) -> Coroutine[Any, Any, None]:
        """As Federation.deliver. ``sink`` is a coroutine function, run in the present event loop, or a plain function,
        called on a thread of the library's. Cancelling ends it, and a coroutine of ``sink``; that batch comes again.
        """
