"""The command line: the only place that prints."""

from .commands import call, main

__all__ = ["call", "main"]
