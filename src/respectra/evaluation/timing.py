"""Time and memory of every method, before the machine is busy with scoring."""

from __future__ import annotations

import json
from collections.abc import Sequence

from respectra.errors import naming
from respectra.evaluation.measuring import Cost, fill_bandwidth, limited_threads, measure_cost
from respectra.evaluation.results import load_costs
from respectra.evaluation.scenes import EvaluationScene
from respectra.evaluation.scorer import Work
from respectra.files import atomic_path
from respectra.progress import Progress, tracked


def largest(subjects: Sequence[EvaluationScene]) -> EvaluationScene:
    """The scene with the most pixels; the first one where none has a cube."""

    def pixels(subject: EvaluationScene) -> int:
        if subject.cube is None:
            return 0
        rows, columns, _ = subject.scene(subject.cube).peek().shape
        return rows * columns

    return max(subjects, key=pixels)


def measure_costs(
    work: Work, subject: EvaluationScene, runs: int, progress: Progress
) -> tuple[Cost, ...]:
    """Costs of each method on one scene; those that the folder holds are not measured again.

    Args:
        work: methods, options and folder.
        subject: the scene.
        runs: runs that count; 0 measures nothing.
        progress: told how far it is.
    """
    path = work.folder / "costs.json"
    costs = list(load_costs(work.folder)) if path.is_file() else []
    known = {(cost.fingerprint, cost.track) for cost in costs}
    wanted = [
        (one, track)
        for track in work.options.tracks
        for one in work.entries
        if one.takes_part(track)
        and (one.fingerprint_for(track), track) not in known
        and (subject.cube is not None or track in subject.images)
    ]
    if not (runs and wanted):
        return tuple(costs)
    rate = fill_bandwidth()
    for one, track in tracked(wanted, progress, "timing"):
        with naming(subject.name):
            case = subject.open(track, work.options.seeds[0], work.options, None)
        with limited_threads(work.threads):
            costs.append(
                measure_cost(
                    one.make(track),
                    case.image,
                    method=one.name,
                    fingerprint=one.fingerprint_for(track),
                    track=track,
                    device=str(one.facts.get("device", "cpu")),
                    threads=work.threads,
                    runs=runs,
                    fill_rate=rate,
                )
            )
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text(json.dumps([c.model_dump(mode="json") for c in costs]))
    return tuple(costs)
