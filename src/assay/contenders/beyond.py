"""What no digest of code can hold: values without a content, and what code fetches from outside while it runs."""

from __future__ import annotations

import io
import os
import types
from typing import Any

FILES, ENVIRONMENT, CLOCK, NAMES = (
    "files",
    "environment variables",
    "the clock",
    "names that are looked up while it runs",
)

_BUILTINS = {"open": FILES, "input": FILES, "eval": NAMES, "exec": NAMES, "globals": NAMES, "__import__": NAMES}
_READERS = {
    *("load", "loadtxt", "genfromtxt", "fromfile", "memmap", "open", "urlopen", "urlretrieve", "connect", "File"),
    *("imread", "load_file", "load_dataset", "open_dataset", "Popen", "check_output"),
}
_CLOCKS = {
    *("time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "now", "utcnow", "today"),
    *("localtime", "gmtime", "strftime", "ctime", "process_time"),
}
_READING = {
    *("configparser", "fileinput", "linecache", "zipfile", "tarfile", "runpy", "sqlite3", "shelve", "dbm", "glob"),
    *("subprocess", "socket", "urllib", "http", "requests", "shutil", "tempfile"),
}
_OF_THE_SYSTEM = {"popen", "system", "stat", "listdir", "scandir", "walk", "getcwd", "cpu_count", "getpid", "uname"}
_OF_ANYTHING = {"read_text": FILES, "read_bytes": FILES, "open": FILES}  # a path's, mostly
_KINDS: dict[type, str] = {
    types.GeneratorType: "a generator",
    types.CoroutineType: "a coroutine",
    types.AsyncGeneratorType: "a generator",
    types.FrameType: "a frame",
}
_RANDOM = {
    ("numpy.random._generator", "Generator"),
    ("numpy.random.mtrand", "RandomState"),
    ("torch._C", "Generator"),
    ("random", "Random"),
}


def of_builtin(name: str) -> str | None:
    """What a builtin function fetches from outside, if it does."""
    return _BUILTINS.get(name)


def of_attribute(name: str) -> str | None:
    """What a method of that name fetches, of whatever object."""
    return _OF_ANYTHING.get(name)


def of_installed(chain: str) -> str | None:
    """What `numpy.load`, `os.environ.get` or `time.time`, by its full name, fetches from outside, if it does."""
    top, *rest = chain.split(".")
    if top in ("os", "posix") and {"environ", "environb", "getenv"} & set(rest):
        return ENVIRONMENT
    if top in ("time", "datetime") and _CLOCKS & set(rest):
        return CLOCK
    if (top in ("os", "posix") and "urandom" in rest) or top in ("secrets", "uuid"):
        return "random numbers of the machine"
    if (top, *rest[:1]) == ("sys", "argv"):
        return "the command's own words"
    if top in _READING or (top in ("os", "posix") and _OF_THE_SYSTEM & set(rest)):
        return FILES
    if top == "importlib":
        return NAMES
    reads = any(part in _READERS or part.startswith("read_") for part in rest)
    return FILES if reads and top not in ("json", "pickle", "yaml", "assay") else None  # those take what was opened


def of_value(value: Any) -> str | None:
    """What a value is that has no content to digest; None for any other."""
    kind = type(value)
    if isinstance(value, io.IOBase):
        return "an open file"
    if kind is type(os.environ):
        return ENVIRONMENT
    for known, words in _KINDS.items():
        if isinstance(value, known):
            return words
    if kind.__module__ in ("_thread", "threading", "multiprocessing.synchronize") and "ock" in kind.__name__:
        return "a lock"
    if any((base.__module__, base.__name__) in _RANDOM for base in kind.__mro__):
        return "the state of a random generator"
    return None
