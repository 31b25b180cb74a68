"""``help()`` says what the stub says, of each member, and its examples are true."""

from __future__ import annotations

import ast
import doctest
import inspect
from pathlib import Path
from typing import Any, Iterator

import pytest

import fulcrum_market
from fulcrum_market import _fulcrum, answers, documents, examples, offers, words

STUB = ast.parse(Path(_fulcrum.__file__ or "").with_name("_fulcrum.pyi").read_text(encoding="utf-8"))
#: What raises nothing of its own but what each call may: the federation is closed, the process was forked.
CALM = {"AsyncFederation.close", "AsyncFederation.metrics", "Federation.close", "Federation.refresh", "Federation.serve"}


def in_stub() -> Iterator[tuple[str, ast.AST]]:
    """Classes, functions and methods of the stub, but those that Python calls."""
    for node in STUB.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield node.name, node
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("__"):
                    yield f"{node.name}.{method.name}", method


def found(name: str) -> Any:
    value: Any = _fulcrum
    for part in name.split("."):
        value = inspect.getattr_static(value, part)
    # What has a docstring of its own.
    return value.__func__ if isinstance(value, classmethod) else value


def test_the_module_has_the_docstrings_of_the_stub() -> None:
    every = dict(in_stub())
    assert len(every) > 100
    for name, node in every.items():
        written = ast.get_docstring(node)  # type: ignore[arg-type]
        assert written, f"{name} has no docstring"
        assert inspect.cleandoc(found(name).__doc__ or "") == written, name


def test_no_public_member_lacks_a_docstring() -> None:
    for name in fulcrum_market.__all__:
        value = getattr(fulcrum_market, name)
        if not isinstance(value, type):
            continue
        assert value.__doc__, name
        for member, its in vars(value).items():
            is_public = not member.startswith("_") and not isinstance(its, (str, int, type(None)))
            if is_public and (callable(its) or isinstance(its, (property, classmethod)) or inspect.isdatadescriptor(its)):
                assert getattr(value, member).__doc__ or its.__doc__, f"{name}.{member}"
    for module in (answers, documents, examples, offers, words, fulcrum_market, fulcrum_market.provider, fulcrum_market.errors):
        assert module.__doc__, module.__name__


def test_each_call_says_what_it_raises() -> None:
    """Of a federation that is awaited it stands at its twin."""
    for name, node in in_stub():
        is_property = isinstance(node, ast.FunctionDef) and any(ast.unparse(it) == "property" for it in node.decorator_list)
        if not name.startswith(("Federation.", "AsyncFederation.", "verify")) or is_property or name in CALM:
            continue
        written = ast.get_docstring(node) or ""  # type: ignore[arg-type]
        assert "Raises:" in written or written.startswith("As Federation") or "raises" in written, name


@pytest.mark.parametrize("name", [name for name, node in in_stub() if ">>>" in (ast.get_docstring(node) or "")])  # type: ignore[arg-type]
def test_the_examples_are_true(name: str) -> None:
    with examples.market() as market:
        names = {"fulcrum_market": fulcrum_market, "market": market}
        test = doctest.DocTestParser().get_doctest(inspect.cleandoc(found(name).__doc__), names, name, None, None)
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0
    assert test.examples
