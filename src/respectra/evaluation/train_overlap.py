"""Scenes that a method has learned from: its scores on them say little."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from respectra.evaluation.results import Results


def learned_scenes(results: Results, method: str) -> dict[str, str]:
    """Scenes that a method's weights name, by the SHA-256 of their files.

    Returns:
        Scene -> ``train``, or ``validation`` for those by which weights were chosen.
    """
    provenance: Mapping[str, Any] = results.methods.get(method, {}).get("provenance", {})
    digests, parts = provenance.get("sha256"), provenance.get("scenes")
    if not isinstance(digests, Mapping):
        return {}
    chosen_by = parts.get("validation", ()) if isinstance(parts, Mapping) else ()
    names = {digest: file for file, digest in digests.items()}
    return {
        scene.name: "validation" if names[scene.truth].rpartition(".")[0] in chosen_by else "train"
        for scene in results.protocol.scenes
        if scene.truth in names
    }


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
