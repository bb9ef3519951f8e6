"""The command line as one thing: what all commands share, and how one is called. Nothing here imports torch before it must."""

from __future__ import annotations

import sys
from typing import Any

import cyclopts
from cyclopts import App, Parameter

from assay import __version__
from assay.errors import AssayError, Interrupted, UsageError
from assay.events.text import tell

from . import plan_file, process
from .options import PARAMETERS

app = App(
    name="assay",
    help="Is this optimizer better than a tuned baseline, on this task, and by how much?",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    group_parameters=PARAMETERS,
    suppress_keyboard_interrupt=False,  # `call` answers it
)


def main(arguments: list[str] | None = None) -> None:
    """The entry point: exit codes of the contract, one clear line for each fault."""
    process.end_with(lambda: call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    asked = plan_file.Expanded(arguments)
    try:
        _check_text(arguments)
        asked = plan_file.expanded(arguments)
        code: Any = app(asked.arguments, exit_on_error=False, print_error=False, result_action="return_value")
        return code if isinstance(code, int) else 0
    except AssayError as error:
        tell(asked.placed(str(error)))
        return error.exit_code
    except cyclopts.CycloptsError as error:  # names the nearest option or command where one is unknown
        tell(asked.placed(" ".join(str(error).split())))
        return UsageError.exit_code
    except KeyboardInterrupt as error:
        tell(f"interrupted {error}".strip() + ", before any training began")
        return Interrupted.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:  # a place that can't be: a name that is too long, a loop of links, a disk that fails
        if error.filename is None:
            raise
        tell(f"{str(error.filename)[:200]}: {error.strerror}")
        return UsageError.exit_code


def _check_text(arguments: list[str]) -> None:
    """UsageError for an argument that is no text, which no name of a file or a contender could be."""
    for word in arguments:
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in word):
            raise UsageError(f"{word!a}: no text that can be a name; write it in UTF-8, without zero bytes")
