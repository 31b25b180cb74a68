"""Tables for terminals and notebooks."""

from __future__ import annotations

import html
import typing
from decimal import Decimal

#: The greatest number of decimals that amounts have.
_MICROS = 6
_Cell = typing.Union[str, int, float, Decimal, None]


class Table:
    """Rows with a head; columns of numbers are on the right. Amounts of one column have equally many decimals."""

    def __init__(self, head: typing.Sequence[str]) -> None:
        self.head = list(head)
        self.rows: typing.List[typing.List[_Cell]] = []
        self.foot: typing.List[_Cell] = []
        #: What stands below it, a line each.
        self.notes: typing.List[str] = []

    def add(self, *cells: _Cell) -> None:
        self.rows.append(list(cells))

    def _texts(self) -> typing.Tuple[typing.List[typing.List[str]], typing.List[bool]]:
        """All cells, the foot last, and which columns are of numbers."""
        rows = self.rows + ([self.foot] if self.foot else [])
        columns = [[row[at] for row in rows] for at in range(len(self.head))]
        texts = [_column(cells) for cells in columns]
        are_numbers = [any(isinstance(cell, (int, float, Decimal)) for cell in cells) for cells in columns]
        return [list(row) for row in zip(*texts)], are_numbers

    def text(self) -> str:
        rows, are_numbers = self._texts()
        all_rows = [self.head, *rows]
        widths = [max(len(row[at]) for row in all_rows) for at in range(len(self.head))]

        def line(cells: typing.Sequence[str]) -> str:
            padded = (
                cell.rjust(width) if is_number else cell.ljust(width)
                for cell, width, is_number in zip(cells, widths, are_numbers)
            )
            return "  ".join(padded).rstrip()

        rule = "  ".join("─" * width for width in widths)
        lines = [line(self.head), rule, *map(line, rows)]
        if self.foot:
            lines.insert(-1, rule)
        return "\n".join([*lines, *self.notes])

    def html(self) -> str:
        rows, are_numbers = self._texts()

        def line(tag: str, cells: typing.Sequence[str]) -> str:
            inner = (
                f'<{tag} style="text-align:{"right" if is_number else "left"}">{html.escape(cell)}</{tag}>'
                for cell, is_number in zip(cells, are_numbers)
            )
            return f"<tr>{''.join(inner)}</tr>"

        foot = f"<tfoot>{line('th', rows.pop())}</tfoot>" if self.foot else ""
        body = "".join(line("td", row) for row in rows)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<table><thead>{line('th', self.head)}</thead><tbody>{body}</tbody>{foot}</table>{notes}"


def _column(cells: typing.Sequence[_Cell]) -> typing.List[str]:
    amounts = [cell for cell in cells if isinstance(cell, Decimal)]
    decimals = max([2, *(min(_decimals(amount), _MICROS) for amount in amounts)]) if amounts else 0
    return [_text(cell, decimals) for cell in cells]


def _decimals(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _text(cell: _Cell, decimals: int) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, Decimal):
        return f"{cell:,.{decimals}f}"
    if isinstance(cell, float):
        return f"{cell:g}"
    return str(cell)


def gib(mib: int) -> Decimal:
    """MiB in GiB, without trailing zeros."""
    return Decimal(mib) / 1024


def count(number: int, one: str, more: str = "") -> str:
    """``1 lease``, ``2 leases``."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"
