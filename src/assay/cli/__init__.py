"""The command line: the only place that prints."""

from . import commands, records, submitted
from .app import call, main

__all__ = ["call", "commands", "main", "records", "submitted"]  # whose import makes them commands
