"""Evaluation: metrics, auxiliary tests, and the protocol that makes scores reproducible.

Imports neither torch nor colour-science; the names below are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from respectra.evaluation import metrics
from respectra.renaming import lazy_names

if TYPE_CHECKING:
    from respectra.evaluation.benchmarking import Benchmark, benchmark, save_benchmark
    from respectra.evaluation.blind import score_submission, validate_submission
    from respectra.evaluation.demo import DemoResult, run_demo
    from respectra.evaluation.entries import Entry, find_entries, make_entry
    from respectra.evaluation.leaderboard import make_leaderboard, published_table
    from respectra.evaluation.protocol import EvaluationOptions, Protocol
    from respectra.evaluation.report import build_report, save_report
    from respectra.evaluation.results import Results, Row, load_results
    from respectra.evaluation.run import evaluate
    from respectra.evaluation.scenes import (
        EvaluationScene,
        evaluation_scenes_of,
        scenes_without_truth,
    )
    from respectra.evaluation.tables import ReportTable, report_tables

#: Module of this room -> the public names that it defines.
_NAMES = {
    "benchmarking": ("Benchmark", "benchmark", "save_benchmark"),
    "demo": ("DemoResult", "run_demo"),
    "entries": ("Entry", "find_entries", "make_entry"),
    "protocol": ("EvaluationOptions", "Protocol"),
    "results": ("Results", "Row", "load_results"),
    "scenes": ("EvaluationScene", "evaluation_scenes_of", "scenes_without_truth"),
    "tables": ("ReportTable", "report_tables"),
    "report": ("build_report", "save_report"),
    "run": ("evaluate",),
    "leaderboard": ("make_leaderboard", "published_table"),
    "blind": ("score_submission", "validate_submission"),
}

#: Names of the first version, kept for one more.
_FORMER_NAMES = {
    "Contestant": "Entry",
    "Options": "EvaluationOptions",
    "Table": "ReportTable",
    "Subject": "EvaluationScene",
    "find_contestants": "find_entries",
    "make_contestant": "make_entry",
    "subjects_of": "evaluation_scenes_of",
    "subjects_without_truth": "scenes_without_truth",
}

__getattr__ = lazy_names(__name__, _NAMES, _FORMER_NAMES)

__all__ = [
    "Benchmark",
    "DemoResult",
    "Entry",
    "EvaluationOptions",
    "EvaluationScene",
    "Protocol",
    "ReportTable",
    "Results",
    "Row",
    "benchmark",
    "build_report",
    "evaluate",
    "evaluation_scenes_of",
    "find_entries",
    "load_results",
    "make_entry",
    "make_leaderboard",
    "metrics",
    "published_table",
    "report_tables",
    "run_demo",
    "save_benchmark",
    "save_report",
    "scenes_without_truth",
    "score_submission",
    "validate_submission",
]
