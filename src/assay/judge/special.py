"""SciPy, untyped, for it ships no types. It loads its parts when they are first asked for: importing the judge costs little."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from typing import Any

import scipy as untyped

scipy: Any = untyped
