"""Evaluation: metrics, auxiliary tests, and the protocol that makes scores reproducible.

Imports neither torch nor colour-science; the names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from respectra.evaluation import metrics

if TYPE_CHECKING:
    from respectra.evaluation.blind import score_submission, validate_submission
    from respectra.evaluation.contestants import Contestant, find_contestants, make_contestant
    from respectra.evaluation.leaderboard import make_leaderboard
    from respectra.evaluation.protocol import Options, Protocol
    from respectra.evaluation.published import published_table
    from respectra.evaluation.report import build_report, save_report
    from respectra.evaluation.results import Results, Row, load_results
    from respectra.evaluation.run import evaluate
    from respectra.evaluation.subjects import Subject, subjects_of, subjects_without_truth
    from respectra.evaluation.tables import Table, report_tables

#: Public name -> the module of this room that defines it.
_NAMES = {
    "Contestant": "contestants",
    "Options": "protocol",
    "Protocol": "protocol",
    "Results": "results",
    "Row": "results",
    "Subject": "subjects",
    "Table": "tables",
    "build_report": "report",
    "evaluate": "run",
    "find_contestants": "contestants",
    "load_results": "results",
    "make_contestant": "contestants",
    "make_leaderboard": "leaderboard",
    "published_table": "published",
    "report_tables": "tables",
    "save_report": "report",
    "score_submission": "blind",
    "subjects_of": "subjects",
    "subjects_without_truth": "subjects",
    "validate_submission": "blind",
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Contestant",
    "Options",
    "Protocol",
    "Results",
    "Row",
    "Subject",
    "Table",
    "build_report",
    "evaluate",
    "find_contestants",
    "load_results",
    "make_contestant",
    "make_leaderboard",
    "metrics",
    "published_table",
    "report_tables",
    "save_report",
    "score_submission",
    "subjects_of",
    "subjects_without_truth",
    "validate_submission",
]
