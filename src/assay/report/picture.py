"""A figure that a notebook shows as a picture, whatever has been imported there."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

DPI = 144


class Picture(Figure):
    """matplotlib's own, which a notebook shows in words until pyplot has been imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()
