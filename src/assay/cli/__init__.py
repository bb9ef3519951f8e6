"""The command line: the only place that prints."""

from . import commands, records
from .app import call, main

__all__ = ["call", "commands", "main", "records"]  # whose import makes them commands
