"""Is this optimizer well behaved, and is it new? Checks in processes of their own; torch is never imported here."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from assay.check.ask import check, check_optimizer
from assay.check.report import Finding, Report, as_data, render, summary

__all__ = ["Finding", "Report", "as_data", "check", "check_optimizer", "render", "summary"]


class _Callable(ModuleType):
    """This package, which can be called: `assay.check(contender)` is `assay.check.check(contender)`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Report:
        return check(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
