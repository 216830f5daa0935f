"""Evaluation: metrics, and what is built on them; imports neither torch nor colour-science."""

from respectra.evaluation import metrics

__all__ = ["metrics"]
