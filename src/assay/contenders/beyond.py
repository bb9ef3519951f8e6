"""What no digest of code can hold: values without a content, and what code fetches from outside while it runs."""

from __future__ import annotations

import io
import os
import types
from typing import Any

FILES, ENVIRONMENT, CLOCK, NAMES, CHANCE = (
    "files",
    "environment variables",
    "the clock",
    "names that are looked up while it runs",
    "random numbers of the machine",
)

_BUILTINS = {
    **{"open": FILES, "input": FILES, "eval": NAMES, "exec": NAMES, "globals": NAMES, "__import__": NAMES},
    "hash": "hash(), which is another in every process",
}
_READERS = {
    *("load", "loadtxt", "genfromtxt", "fromfile", "from_file", "memmap", "open", "open_code", "urlopen"),
    *("urlretrieve", "connect", "File", "FileIO", "GzipFile", "BZ2File", "LZMAFile", "HDFStore", "ExcelFile"),
    *("DataSource", "imread", "loadmat", "load_npz", "load_file", "load_dataset", "open_dataset"),
    *("load_state_dict_from_url", "download_url_to_file", "safe_open", "get_data", "Popen", "check_output"),
}
_READS = ("read_", "scan_", "fetch_")
_TAKE_WHAT_WAS_OPENED = {"json", "pickle", "yaml", "tomllib", "marshal", "cloudpickle", "assay"}
_CLOCKS = {
    *("time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "now", "utcnow", "today"),
    *("localtime", "gmtime", "strftime", "ctime", "process_time"),
}
_READING = {  # all that they do
    *("configparser", "fileinput", "linecache", "zipfile", "tarfile", "runpy", "sqlite3", "shelve", "dbm", "glob"),
    *("subprocess", "socket", "urllib", "http", "requests", "shutil", "tempfile", "mmap", "h5py", "ftplib", "httpx"),
    *("huggingface_hub", "torch.hub", "torchvision.datasets"),
}
_SYSTEM = {"os", "posix", "nt", "posixpath", "ntpath", "genericpath"}
_OF_THE_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "expandvars", "expanduser"}
_NO_MORE_THAN_TEXT = {  # of the system's modules, which ask the machine for the rest
    *("path", "fspath", "fsencode", "fsdecode", "sep", "altsep", "linesep", "pathsep", "curdir", "pardir", "extsep"),
    *("devnull", "name", "PathLike", "error", "join", "split", "splitext", "basename", "dirname", "normpath"),
    *("normcase", "isabs", "abspath", "relpath", "commonpath", "commonprefix", "splitdrive", "splitroot"),
}
_OF_PYTHON = {
    **{"sys.argv": "the command's own words", "sys.stdin": FILES, "sys.__stdin__": FILES, "sys.modules": NAMES},
    **{"sys._getframe": NAMES, "inspect.currentframe": NAMES, "inspect.stack": NAMES, "random.SystemRandom": CHANCE},
}
_SEEDED = {
    *("default_rng", "RandomState", "SeedSequence", "Random", "seed", "PCG64", "PCG64DXSM", "MT19937", "Philox"),
    "SFC64",
}
_OF_ANYTHING = {  # a path's, and a function's or a frame's
    **dict.fromkeys(("read_text", "read_bytes", "open", "exists", "stat", "iterdir", "glob", "rglob"), FILES),
    **dict.fromkeys(("is_file", "is_dir"), FILES),
    **dict.fromkeys(("__globals__", "f_globals", "f_locals"), NAMES),
}
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


def of_installed(chain: str, bare: bool = False) -> str | None:
    """What `numpy.load`, `os.environ.get` or `time.time`, by its full name, fetches from outside, if it does.

    `bare`: is it called with nothing, so that a generator takes its seed from the machine?
    """
    top, *rest = chain.split(".")
    two = ".".join([top, *rest[:1]])
    if top == "builtins" and rest:
        return of_builtin(rest[0])
    if top in _SYSTEM and rest:
        return _of_the_system(rest)
    if top in ("time", "datetime") and _CLOCKS & set(rest):
        return CLOCK
    if top in ("secrets", "uuid") or (bare and top in ("numpy", "random", "torch") and rest and rest[-1] in _SEEDED):
        return CHANCE
    if top in _READING or two in _READING:
        return FILES
    if two in _OF_PYTHON or top == "importlib":
        return _OF_PYTHON.get(two, NAMES)
    reads = any(part in _READERS or part.startswith(_READS) for part in rest)
    return FILES if reads and top not in _TAKE_WHAT_WAS_OPENED else None


def _of_the_system(rest: list[str]) -> str | None:
    """What of `os`, or of its `path`, asks the machine."""
    if _OF_THE_ENVIRONMENT & set(rest):
        return ENVIRONMENT
    if {"urandom", "getrandom"} & set(rest):
        return CHANCE
    asked = rest[1:2] if rest[0] == "path" else rest[:1]
    return FILES if set(asked) - _NO_MORE_THAN_TEXT else None


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
