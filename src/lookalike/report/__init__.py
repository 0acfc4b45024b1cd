"""Reports: one HTML file that opens offline, in any browser."""

from pathlib import Path

from lookalike.report.audit_report import write_audit_report
from lookalike.report.evaluation_report import write_evaluation_report
from lookalike.report.page import check_writable

__all__ = ["check_report", "write_audit_report", "write_evaluation_report"]


def check_report(path: Path) -> None:
    """Refuse a report that could not be written, before the work that it is about is done.

    Raises:
        ExtraMissing: Bokeh is not installed.
        InvalidArgument: see `check_writable`.
    """
    from lookalike.report import plots  # noqa: F401 that it can be imported is the check

    check_writable(path)
