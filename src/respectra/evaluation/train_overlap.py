"""Scenes that a method has learned from: its scores on them say little."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from respectra.evaluation.results import Results


def learned_scenes(results: Results, method: str) -> dict[str, str]:
    """Scenes that a method's weights name, by the SHA-256 of their files.

    Returns:
        Scene -> ``train``, or ``validation`` for those by which weights were chosen.
    """
    parts = _parts_by_hash(results.methods.get(method, {}).get("provenance", {}))
    return {
        scene.name: parts[scene.truth]
        for scene in results.protocol.scenes
        if scene.truth is not None and scene.truth in parts
    }


def _parts_by_hash(provenance: object) -> dict[str, str]:
    """SHA-256 -> ``train`` or ``validation``, of all files behind weights and behind those that
    they were started from. ``train`` stands where a file was both."""
    if not isinstance(provenance, Mapping):
        return {}
    started = provenance.get("started_from")
    found = _parts_by_hash(started.get("provenance")) if isinstance(started, Mapping) else {}
    digests, scenes = provenance.get("sha256"), provenance.get("scenes")
    if not isinstance(digests, Mapping):
        return found
    chosen_by = set(provenance.get("validation_sha256") or ())
    if "validation_sha256" not in provenance and isinstance(scenes, Mapping):
        # Weights of the first version: the files' names are those of the scenes.
        stems = set(scenes.get("validation", ()))
        chosen_by = {d for file, d in digests.items() if file.rpartition(".")[0] in stems}
    for digest in digests.values():
        part = "validation" if digest in chosen_by else "train"
        found[digest] = "train" if "train" in (part, found.get(digest)) else part
    return found


def without_learned(results: Results) -> Results | None:
    """The results on scenes that no method has learned from or was chosen by.

    Returns:
        None where that is all of the main scenes, or none.
    """
    known = {scene for name in results.names for scene in learned_scenes(results, name)}
    main = results.protocol.scene_names()
    left = [name for name in main if name not in known]
    if not left or len(left) == len(main):
        return None
    scenes = tuple(scene for scene in results.protocol.scenes if scene.name in left)
    return dataclasses.replace(
        results,
        protocol=results.protocol.model_copy(update={"scenes": scenes}),
        rows=tuple(row for row in results.rows if row.scene in left),
    )


def learned_notes(results: Results) -> tuple[str, ...]:
    """One sentence for each method that has learned from scenes of the evaluation."""
    notes = []
    for name in results.names:
        if results.guarantees(name):
            continue
        found = learned_scenes(results, name)
        trained = [scene for scene, part in found.items() if part == "train"]
        chosen = [scene for scene, part in found.items() if part == "validation"]
        words = [
            f"{what} {', '.join(scenes)}"
            for what, scenes in (("was trained on", trained), ("was chosen by", chosen))
            if scenes
        ]
        if words:
            notes.append(f"{name} {' and '.join(words)}.")
    return tuple(notes)
