"""How an optimizer's step wants to be called."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def needs_closure(step: Callable[..., Any] | None) -> bool:
    """Does a step (of an instance, or of a class) take no step without a closure?

    Either it has a positional parameter without a default, `self` aside, or its own lines refuse None (`assert closure is
    not None`, `if closure is None: raise`, `if not closure: raise`) or call it without asking.
    """
    try:
        parameters = inspect.signature(step).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [p for p in parameters if p.kind in positional and p.name != "self"]
    return any(p.default is p.empty for p in own) or any(p.default is None and _wants(step, p.name) for p in own)


def _wants(step: Any, name: str) -> bool:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(step))))
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.FunctionDef) else []
    return any(_refuses(line, name) for line in body) or (
        not any(_settles(line, name) for line in body) and any(_calls(line, name) for line in body)
    )


def _refuses(line: ast.stmt, name: str) -> bool:
    if isinstance(line, ast.Assert):
        return _compares(line.test, name, ast.IsNot) or _is(line.test, name)
    if not isinstance(line, ast.If) or not any(isinstance(inner, ast.Raise) for inner in line.body):
        return False
    test = line.test
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and _is(test.operand, name)
    return negated or _compares(test, name, ast.Is)


def _settles(line: ast.stmt, name: str) -> bool:
    """Is None seen to first: is the name given another value, or does the step end there?"""
    return isinstance(line, ast.If) and any(
        isinstance(inner, ast.Return)
        or (isinstance(inner, ast.Assign) and any(_is(target, name) for target in inner.targets))
        for inner in line.body
    )


def _calls(node: ast.AST, name: str) -> bool:
    """Is it called where nothing asks for it first?"""
    if isinstance(node, ast.If | ast.IfExp | ast.BoolOp | ast.While | ast.FunctionDef | ast.Lambda | ast.Try):
        return False
    if isinstance(node, ast.Call) and _is(node.func, name):
        return True
    return any(_calls(child, name) for child in ast.iter_child_nodes(node))


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _compares(test: ast.expr, name: str, how: type[ast.cmpop]) -> bool:
    """Is it `name is None`, or `name is not None`?"""
    return (
        isinstance(test, ast.Compare)
        and _is(test.left, name)
        and isinstance(test.ops[0], how)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value is None
    )
