"""Weighted accuracy: every kind of spectrum counts the same, however rare it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr

from respectra.evaluation import metrics
from respectra.evaluation.auxiliary.base import Case, OutputTest, Recover, Scores, score


class WeightedAccuracy(OutputTest):
    """MRAE of each of a thousand clusters of the truth's spectra, mean over clusters.

    Clusters are found once for a truth and kept in the cache folder of the rules.
    """

    source = "NTIRE 2020 report, section 3.5"
    name_form = "weighted"
    title_form = "Weighted"
    columns: ClassVar[Mapping[str, str]] = {"weighted_mrae": "Weighted MRAE"}

    @property
    def official(self) -> bool:
        """Yes."""
        return True

    def score(self, case: Case, estimate: xr.DataArray, recover: Recover) -> Scores:
        """The weighted score."""
        rules, truth = case.rules, case.need_truth()
        labels = metrics.spectral_clusters(
            truth,
            rules.clusters,
            case.seed,
            init_size=rules.cluster_init_size,
            cache=rules.cluster_cache,
        )
        return score(truth, estimate, case, tuple(self.columns), valid=case.valid, labels=labels)
