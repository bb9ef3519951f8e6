"""How an optimizer's step wants to be called."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def needs_closure(step: Callable[..., Any] | None) -> bool:
    """Does a step (of an instance, or of a class) take no step without a closure?

    Either it has a positional parameter without a default, `self` aside, or its own lines refuse None: `assert closure is
    not None`, or `if closure is None: raise`.
    """
    try:
        parameters = inspect.signature(step).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [p for p in parameters if p.kind in positional and p.name != "self"]
    return any(p.default is p.empty for p in own) or any(p.default is None and _refuses_none(step, p.name) for p in own)


def _refuses_none(step: Any, name: str) -> bool:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(step))))
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.FunctionDef) else []
    for line in body:
        if isinstance(line, ast.Assert) and _compares(line.test, name, ast.IsNot):
            return True
        if isinstance(line, ast.If) and _compares(line.test, name, ast.Is) and isinstance(line.body[0], ast.Raise):
            return True
    return False


def _compares(test: ast.expr, name: str, how: type[ast.cmpop]) -> bool:
    """Is it `name is None`, or `name is not None`?"""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == name
        and isinstance(test.ops[0], how)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value is None
    )
