"""Contenders: what is compared. `registry` names the known ones, `resolve` finds them and `adapt` makes them fit."""

from assay.contenders.load import load
from assay.contenders.registry import CONTENDERS
from assay.contenders.resolve import again, contenders

__all__ = ["CONTENDERS", "again", "contenders", "load"]
