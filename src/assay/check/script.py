"""The smallest example that shows a failure: a few lines of Python that stand on their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from assay.contenders.adapt import Signature
from assay.contenders.registry import CONTENDERS
from assay.contenders.resolve import split_alias
from assay.core import Contender
from assay.space import midpoint

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


class Script:
    """How a contender is imported and made, as text."""

    def __init__(self, contender: Contender, target: Any) -> None:
        reference = split_alias(contender.reference)[1]
        if reference.partition("+")[0] in CONTENDERS:
            reference = CONTENDERS[reference.partition("+")[0]].reference
        where, _, name = reference.rpartition(":")
        name = name.partition("+")[0]  # a schedule is none of the optimizer's
        self.name = name or contender.name
        if where.endswith(".py"):
            path = Path(where)
            self.imports = f'import sys; sys.path.insert(0, "{path.resolve().parent}")\nfrom {path.stem} import {name}'
        elif where:
            self.imports = f"from {where} import {name.partition('.')[0]}"
        else:
            self.imports = f"# {self.name} is your contender, imported or defined here"
        settings = {**contender.fixed, **{k: midpoint(d) for k, d in contender.space.items()}}
        self.settings = {k: _number(v) for k, v in settings.items()}
        self.signature = None if target is None else Signature.of(target, self.name)
        self.takes_run = self.signature is None or "run" in self.signature.named
        self.takes_params = self.signature is not None and self.signature.first == "params"
        self.train = False  # does it have to be told that training begins?

    def text(
        self,
        body: str,
        *,
        params: str = "p = torch.nn.Parameter(torch.ones(4, 3))",
        over: str = "[p]",
        mode: str = "no",
        lr: float | None = None,
    ) -> str:
        """The imports, the parameters, `opt` over them, then `body`, where `opt.step()` suits the contender's closure.

        Args:
            params: lines that make the parameters.
            over: what the optimizer is given: a list of parameters or groups; "" makes none.
        """
        lines = ["import torch", *(["import assay"] if self.takes_run else []), self.imports, params]
        if over:
            lines += self.made("opt", over, lr)
        if mode == "yes" and ".step()" in body:
            lines.append(_CLOSURE)
            body = re.sub(r"\b(?!scheduler)(\w+)\.step\(\)", r"\1.step(gives_them_again(\1))", body)
        elif mode == "graph":
            body = "# its step needs a closure that calls loss.backward(create_graph=True)\n" + body
        return "\n".join([*lines, body.strip("\n")]) + "\n"

    def made(self, variable: str, over: str, lr: float | None = None) -> list[str]:
        """Lines that make an optimizer over a list of parameters or groups."""
        return [self._made(variable, over, lr), *([f"{variable}.train()"] if self.train else [])]

    def _made(self, variable: str, over: str, lr: float | None) -> str:
        settings = dict(self.settings)
        if lr is not None and "lr" in settings:
            settings["lr"] = _number(lr)
        given = "".join(f", {k}={v}" for k, v in settings.items())
        run = "assay.Run(1000, 10, 100)"
        if self.signature is None:  # a contender, which its `make` makes
            return f"{variable} = {self.name}.make(torch.nn.ParameterList({over}), {run}{given})"
        if self.takes_run:
            given += f", run={run}"
        if self.signature.beside:
            return f"{variable} = {self.name}({over}, {self.signature.beside}=torch.optim.Adam{given})"
        if self.signature.given == "model":
            return f"{variable} = {self.name}(torch.nn.ParameterList({over}){given})"
        if self.signature.given == "named parameters":
            return f"{variable} = {self.name}(torch.nn.ParameterList({over}).named_parameters(){given})"
        if self.signature.given == "optimizer class":
            return f"{variable} = {self.name}(torch.optim.Adam, {over}{given})"
        if self.signature.given == "optimizer":
            rate = f", lr={settings['lr']}" if "lr" in settings else ""
            return f"{variable} = {self.name}(torch.optim.Adam({over}{rate}))"
        return f"{variable} = {self.name}({over}{given})"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
