"""What a process and its forks print, kept in a file instead of shown."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile


class Output:
    """Takes over standard output and standard error of this process, descriptors and all."""

    def __init__(self) -> None:
        self.descriptor, path = tempfile.mkstemp(prefix="assay-output-")
        other = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.unlink(path)
        for stream in (1, 2):
            os.dup2(other, stream)
        os.close(other)
        sys.stdout, sys.stderr = (os.fdopen(s, "w", buffering=1, closefd=False, encoding="utf-8") for s in (1, 2))

    def mark(self) -> int:
        """How many bytes there are by now."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        return os.fstat(self.descriptor).st_size

    def since(self, mark: int) -> str:
        """What was printed since."""
        return os.pread(self.descriptor, max(self.mark() - mark, 0), mark).decode(errors="replace")
