"""heavyball's classes with their steps uncompiled, for `survey.py`."""

from heavyball import *  # noqa: F403  # pyright: ignore[reportMissingImports]
from heavyball import utils  # pyright: ignore[reportMissingImports]

utils.compile_mode = None
utils.compile_mode_recommended_to_none = None
