"""heavyball's classes with their steps uncompiled, for `survey.py`."""

from heavyball import *  # noqa: F403
from heavyball import utils  # type: ignore[reportMissingImports]

utils.compile_mode = None
utils.compile_mode_recommended_to_none = None
