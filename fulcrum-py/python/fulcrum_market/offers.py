"""Offers with prices that can be compared."""

from __future__ import annotations

import dataclasses
import datetime
import typing
from decimal import Decimal

from fulcrum_market import _fulcrum, _tables
from fulcrum_market._record import Record
from fulcrum_market.words import OfferKind, PriceAuthority, PricingCategory

#: So many rows does a terminal show, and so many a notebook.
_ROWS_IN_TEXT, _ROWS_IN_HTML = 20, 60


@dataclasses.dataclass(frozen=True)
class Offer(Record):
    """One product at one place, with what a month of it costs in the size that was asked for."""

    #: The name among all offers, as ``compose(exclude=…)`` and ``why_not`` take it.
    id: str
    kind: OfferKind
    provider: str
    region: str
    #: The failure domain in the region; None if it is sold for the region as a whole.
    zone: typing.Optional[str]
    #: ISO 3166-1.
    country: str
    sku: str
    vcpu: float
    memory_mib: int
    #: What is included; a larger disk that was asked for is in the price.
    disk_gib: int
    gpu: int
    attributes: typing.Dict[str, str]
    pricing_category: PricingCategory
    #: Months that must be paid at least.
    term_months: int
    #: Net, with surcharges and disk, rounded to a millionth; None without an exchange rate.
    monthly: typing.Optional[Decimal]
    #: Net, at the start.
    once: typing.Optional[Decimal]
    #: Of ``monthly`` and ``once``: the one that was asked for.
    currency: str
    #: The day of the price.
    observed: datetime.date
    #: The last day on which it holds, as far as its source tells.
    valid_until: typing.Optional[datetime.date]
    #: How old the price was on the day of the catalogue.
    age_days: int
    authority: PriceAuthority
    #: Where the price can be checked.
    source: str
    seller: str
    #: Whether the provider sells it here; otherwise it is only compared.
    is_orderable: bool
    #: How many can be had, if that is told.
    stock: typing.Optional[int]

    def to_dict(self) -> typing.Dict[str, typing.Any]:
        """All fields as a dict, with Decimal, date and words as they are here."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclasses.dataclass(frozen=True)
class UnmetCondition(Record):
    """A condition that the nearest offers fail."""

    #: Its name in the query, such as ``where.attributes.gpu_model`` or ``at_least.vcpu``.
    condition: str
    asked: str
    #: What these offers have, and how many of them: largest amounts, lowest prices, else the most frequent first.
    found: typing.Tuple[typing.Tuple[str, int], ...]


@dataclasses.dataclass(frozen=True)
class NoMatch(Record):
    """Why a query found nothing; ``str()`` is a sentence."""

    text: str
    #: How many offers fail the fewest conditions.
    nearest: int
    conditions: typing.Tuple[UnmetCondition, ...]

    def __str__(self) -> str:
        return self.text


#: Columns of the table and their types, as `_arrow_stream` names them.
_COLUMNS = [
    ("id", "text"), ("kind", "text"), ("provider", "text"), ("region", "text"), ("zone", "text"), ("country", "text"),
    ("sku", "text"), ("vcpu", "number"), ("memory_mib", "whole"), ("disk_gib", "whole"), ("gpu", "whole"),
    ("attributes", "map"), ("pricing_category", "text"), ("term_months", "whole"), ("monthly", "money"),
    ("once", "money"), ("currency", "text"), ("observed", "day"), ("valid_until", "day"), ("age_days", "whole"),
    ("authority", "text"), ("source", "text"), ("seller", "text"), ("is_orderable", "flag"), ("stock", "whole"),
]  # fmt: skip


class Offers:
    """Offers with prices that can be compared: a sequence, and a table.

    It prints as a table, in a notebook too. pandas, Polars, DuckDB and pyarrow read it by the Arrow PyCapsule interface:
    ``polars.DataFrame(offers)``, ``pyarrow.table(offers).to_pandas()``. Amounts are there decimal128 with six decimals.
    (It is no ``collections.abc.Sequence``, as Polars would take its rows one by one then.)

        >>> offers = market.offers(kind="machine", vcpu=4, memory="16 GiB")     # doctest: +SKIP
        >>> offers[0].monthly, offers[0].sku                                    # doctest: +SKIP
        >>> [offer.id for offer in offers if offer.country == "FI"]             # doctest: +SKIP
    """

    #: Of all prices; ISO 4217.
    currency: str
    #: The day of the catalogue.
    day: datetime.date
    #: Why there is nothing, if there is nothing.
    no_match: typing.Optional[NoMatch]

    def __init__(
        self,
        rows: typing.Sequence[typing.Dict[str, typing.Any]],
        currency: str,
        day: datetime.date,
        no_match: typing.Optional[NoMatch] = None,
    ) -> None:
        self._rows = list(rows)
        self.currency, self.day, self.no_match = currency, day, no_match

    @classmethod
    def _of(cls, table: typing.Dict[str, typing.Any]) -> Offers:
        why = table["no_match"] and NoMatch._of(table["no_match"])
        return cls(table["rows"], table["currency"], datetime.date.fromisoformat(table["day"]), why)

    def __len__(self) -> int:
        return len(self._rows)

    @typing.overload
    def __getitem__(self, at: int) -> Offer: ...
    @typing.overload
    def __getitem__(self, at: slice) -> Offers: ...
    def __getitem__(self, at: typing.Union[int, slice]) -> typing.Union[Offer, Offers]:
        if isinstance(at, slice):
            return Offers(self._rows[at], self.currency, self.day)
        return Offer._of(self._rows[at])

    def __iter__(self) -> typing.Iterator[Offer]:
        return map(Offer._of, self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Offers):
            return NotImplemented
        return (self.currency, self.day, self._rows) == (other.currency, other.day, other._rows)

    __hash__ = None  # type: ignore[assignment]

    def to_dicts(self) -> typing.List[typing.Dict[str, typing.Any]]:
        """Each row as a dict, with Decimal and date."""
        return [offer.to_dict() for offer in self]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The table as an Arrow stream, of which each call makes a new one. A schema that is asked for is not heeded."""
        return _fulcrum._arrow_stream(_COLUMNS, self._rows)

    def __repr__(self) -> str:
        return self._table(_ROWS_IN_TEXT).text() if self else f"<fulcrum_market.Offers: {self.no_match or 'none'}>"

    def _repr_html_(self) -> str:
        return self._table(_ROWS_IN_HTML).html()

    def _table(self, most: int) -> _tables.Table:
        shown = list(self[:most])
        amounts = [amount for offer in shown for amount in (offer.monthly, offer.once) if amount]
        # Cents suffice unless a price is less than one.
        cents = Decimal("0.01") if all(amount >= Decimal("0.01") for amount in amounts) else None

        def money(amount: typing.Optional[Decimal]) -> typing.Optional[Decimal]:
            return amount if amount is None or cents is None else amount.quantize(cents)

        columns: typing.List[typing.Tuple[str, typing.Callable[[Offer], typing.Any]]] = [
            ("provider", lambda it: it.provider),
            ("region", lambda it: f"{it.region}/{it.zone}" if it.zone else it.region),
            ("country", lambda it: it.country),
            ("kind", lambda it: str(it.kind)),
            ("sku", lambda it: it.sku),
            ("vCPU", lambda it: it.vcpu or None),
            ("GiB memory", lambda it: float(_tables.gib(it.memory_mib)) or None),
            ("GiB disk", lambda it: it.disk_gib or None),
            ("GPU", lambda it: it.gpu or None),
            (f"{self.currency} a month", lambda it: money(it.monthly)),
            (f"{self.currency} once", lambda it: money(it.once or None)),
            ("price of", lambda it: it.observed.isoformat()),
        ]
        # A column in which nobody has anything is left out.
        columns = [(name, cell) for name, cell in columns if any(cell(offer) is not None for offer in shown)]
        table = _tables.Table([name for name, _ in columns])
        for offer in shown:
            table.add(*(cell(offer) for _, cell in columns))
        if self.no_match:
            table.notes.append(str(self.no_match))
        more = len(self) - len(shown)
        table.notes.append(
            f"{_tables.count(len(self), 'offer')}, net"
            + (f"; {more:,} more than shown" if more else "")
            + f"; catalogue of {self.day.isoformat()}"
        )
        return table
