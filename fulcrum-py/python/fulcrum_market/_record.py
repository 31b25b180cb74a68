"""Objects that are made of documents: amounts become Decimal, times datetime, words enums."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
import functools
import re
import typing
from decimal import Decimal

_Convert = typing.Callable[[typing.Any], typing.Any]
_Self = typing.TypeVar("_Self", bound="Record")


class Word(str, enum.Enum):
    """A word of a fixed list. It is a str: ``state == "committed"`` holds, and so does ``f"{state}"``."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, form: str) -> str:
        return format(str(self.value), form)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


class Record:
    """Base of the answers. They do not change, compare by what they say, and can be pickled."""

    _document: typing.Dict[str, typing.Any]

    @classmethod
    def _of(cls: typing.Type[_Self], document: typing.Dict[str, typing.Any]) -> _Self:
        """Of a document; fields that it lacks have their default."""
        # As one of any class: a cache knows no classes of a base.
        its_class: typing.Any = cls
        fields = {name: convert(document[name]) for name, convert in _fields(its_class) if name in document}
        made = cls(**fields)
        object.__setattr__(made, "_document", document)
        return made

    def to_dict(self) -> typing.Any:
        """As a document of the library's, which JSON can hold: a dict with amounts and times as text."""
        return copy.deepcopy(self._document)


@functools.lru_cache(maxsize=None)
def _fields(cls: typing.Any) -> typing.List[typing.Tuple[str, _Convert]]:
    hints = typing.get_type_hints(cls)
    return [(field.name, _converter(hints[field.name])) for field in dataclasses.fields(cls)]


def _converter(hint: typing.Any) -> _Convert:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        some = _converter(next(one for one in inner if one is not type(None)))
        return lambda value: None if value is None else some(value)
    if origin is tuple:
        each = _converter(inner[0])
        return lambda values: tuple(map(each, values))
    if origin is dict:
        of_name, of_value = map(_converter, inner)
        return lambda values: {of_name(name): of_value(value) for name, value in values.items()}
    if hint is Decimal:
        return Decimal
    if hint is datetime.datetime:
        return moment
    if hint is datetime.date:
        return datetime.date.fromisoformat
    if isinstance(hint, type) and issubclass(hint, Word):
        return functools.partial(_word, hint)
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint._of
    return lambda value: value


def _word(words: typing.Type[Word], text: str) -> str:
    """A later version may have more words; these stay text."""
    try:
        return words(text)
    except ValueError:
        return text


def moment(text: str) -> datetime.datetime:
    """Of a time as documents write it, with up to nine digits behind the second; a datetime has six."""
    whole, digits = re.sub(r"Z$", "+00:00", text), re.compile(r"\.(\d{1,6})\d*")
    return datetime.datetime.fromisoformat(digits.sub(lambda found: "." + found[1].ljust(6, "0"), whole))
