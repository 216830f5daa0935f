"""The report: a self-contained HTML page of an evaluation."""

from respectra.evaluation.report.build import build_report, save_report

__all__ = ["build_report", "save_report"]
