"""The smallest example that shows a failure: a few lines of Python that stand on their own."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.conformance.job import place_of
from assay.conformance.matrix import AsTensor
from assay.contenders.adapt import Signature
from assay.core import Contender

_CLOSURE = """
def gives_them_again(opt):  # a closure that makes the gradients that are there
    params = [p for group in getattr(opt, "param_groups", []) for p in group["params"]]
    grads = [None if p.grad is None else p.grad.clone() for p in params]
    for p in params:
        p.grad = None
    def closure():
        for p, g in zip(params, grads):
            p.grad = None if g is None else g.clone()
        return torch.tensor(0.0)
    return closure
"""
_MADE = re.compile(r"^( *)(\w+) := (.*?)(?: at (\w+))?(?: with (.+))?$", re.MULTILINE)


def written(value: Any) -> str:
    """A setting as it is written in a call; what is no number of Python's is written whole."""
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


class Script:
    """How a contender is imported and made, as text."""

    def __init__(self, contender: Contender, target: Any) -> None:
        where, _, name = place_of(contender).rpartition(":")
        self.name = name or contender.name
        if where.endswith(".py"):
            path = Path(where)
            self.imports = f'import sys; sys.path.insert(0, "{path.resolve().parent}")\nfrom {path.stem} import {name}'
        elif where:
            self.imports = f"from {where} import {name.partition('.')[0]}"
        else:
            self.imports = f"# {self.name} is your contender, imported or defined here"
        settings = {**contender.fixed, **contender.middle}
        self.settings = {k: written(v) for k, v in settings.items()}
        self.signature = None if target is None else Signature.of(target, self.name)
        self.takes_run = self.signature is None or "run" in self.signature.named
        self.takes_params = self.signature is not None and self.signature.first == "params"
        self.tensor_rate = False
        self.train = False  # does it have to be told that training begins?

    def under(self, setting: Mapping[str, Any]) -> Script:
        """The same, made with these settings."""
        other = copy.copy(self)
        plain = {k: v for k, v in setting.items() if not isinstance(v, AsTensor)}
        other.settings = {**self.settings, **{k: written(v) for k, v in plain.items()}}
        other.tensor_rate = self.tensor_rate or len(plain) < len(setting)
        return other

    def text(self, body: str, mode: str) -> str:
        """The imports, then `body`, where each `opt.step()` is made to suit the contender's closure.

        A line `opt := [p]` makes an optimizer over a list of parameters or groups; `opt := [p] at rate` at the learning rate
        of that name, `opt := [p] with weight_decay=0.1; momentum=0.9` at such settings. A body without one begins with an
        optimizer over one matrix p.
        """
        body = body.strip("\n")
        if "opt := " not in body:
            body = f"p = torch.nn.Parameter(torch.ones(4, 3))\nopt := [p]\n{body}"
        body = _MADE.sub(self._made, body)
        lines = ["import torch", *(["import assay"] if self.takes_run else []), self.imports]
        if mode == "yes" and ".step()" in body:
            lines.append(_CLOSURE)
            body = re.sub(r"\b(?!scheduler)(\w+)\.step\(\)", r"\1.step(gives_them_again(\1))", body)
        elif mode == "graph":
            lines.append("# its step needs a closure that calls loss.backward(create_graph=True)")
        return "\n".join([*lines, body]) + "\n"

    def _made(self, line: re.Match[str]) -> str:
        indent, variable, over, rate, given = line.groups()
        told = f"\n{indent}{variable}.train()" if self.train else ""
        return f"{indent}{variable} = {self._call(over, rate, given)}{told}"

    def _call(self, over: str, rate: str | None, more: str | None) -> str:
        settings = {**self.settings, **({"lr": rate} if rate and "lr" in self.settings else {})}
        settings |= dict(setting.split("=", 1) for setting in more.split("; ")) if more else {}
        if self.tensor_rate and "lr" in settings:
            settings["lr"] = f"torch.tensor({settings['lr']}, dtype=torch.float64)"
        given = "".join(f", {k}={v}" for k, v in settings.items())
        model, run = f"torch.nn.ParameterList({over})", "assay.Run(1000, 10, 100)"
        if self.signature is None:  # a contender, which its `make` makes
            return f"{self.name}.make({model}, {run}{given})"
        if self.signature.given == "optimizer":
            lr = f", lr={settings['lr']}" if "lr" in settings else ""
            return f"{self.name}(torch.optim.Adam({over}{lr}))"
        if self.takes_run:
            given += f", run={run}"
        if self.signature.beside:
            given = f", {self.signature.beside}=torch.optim.Adam{given}"
        first = {
            "model": model,
            "named parameters": f"{model}.named_parameters()",
            "optimizer class": f"torch.optim.Adam, {over}",
        }
        return f"{self.name}({first.get(self.signature.given or '', over)}{given})"
