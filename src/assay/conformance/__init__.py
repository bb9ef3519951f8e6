"""Is this optimizer well behaved, and is it new? Checks in processes of their own; torch is never imported here."""

from assay.conformance.ask import check, check_optimizer
from assay.conformance.report import Finding, Report, as_data, render, summary

__all__ = ["Finding", "Report", "as_data", "check", "check_optimizer", "render", "summary"]
