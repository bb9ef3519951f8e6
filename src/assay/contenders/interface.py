"""How an optimizer's step wants to be called."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from types import CodeType
from typing import Any, Literal

Closure = Literal["no", "yes", "graph"]


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
    if any(p.default is p.empty for p in own):
        return True
    code = getattr(inspect.unwrap(step), "__code__", None)  # type: ignore[arg-type]
    return code is not None and any(p.default is None and _wants(code, p.name) for p in own)


def closure_of(said: Closure, step: Callable[..., Any]) -> Closure:
    """What the step of an optimizer needs: what was said of its contender, or what is known now that it is made."""
    return "yes" if said == "no" and needs_closure(step) else said


@functools.lru_cache(maxsize=1_000)
def _wants(code: CodeType, name: str) -> bool:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.FunctionDef) else []
    return any(_refuses(line, name) for line in body) or (
        not any(_settles(line, name) for line in body) and any(_calls(line, name) for line in body)
    )


def _refuses(line: ast.stmt, name: str) -> bool:
    """Is it `assert closure`, or an `if` that raises where there is none?"""
    if isinstance(line, ast.Assert):
        return ast.unparse(line.test) in (name, f"{name} is not None")
    if not isinstance(line, ast.If) or not any(isinstance(inner, ast.Raise) for inner in line.body):
        return False
    return ast.unparse(line.test) in (f"not {name}", f"{name} is None")


def _settles(line: ast.stmt, name: str) -> bool:
    """Is None seen to first: is the name given another value, or does the step end there?"""
    return isinstance(line, ast.If) and any(
        isinstance(inner, ast.Return)
        or (isinstance(inner, ast.Assign) and name in [ast.unparse(target) for target in inner.targets])
        for inner in line.body
    )


def _calls(node: ast.AST, name: str) -> bool:
    """Is it called where nothing asks for it first?"""
    if isinstance(node, ast.If | ast.IfExp | ast.BoolOp | ast.While | ast.FunctionDef | ast.Lambda | ast.Try):
        return False
    if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
        return True
    return any(_calls(child, name) for child in ast.iter_child_nodes(node))
