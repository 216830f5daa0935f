"""Datasets: folders of scenes as labelled collections, stores of them, and synthetic scenes.

The names below are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from respectra.renaming import lazy_names

if TYPE_CHECKING:
    from respectra.datasets.checking import CollectionReport, SceneReport, check_collection
    from respectra.datasets.collections import Collection, Scene, list_layouts, open_collection
    from respectra.datasets.loading import patch_loader
    from respectra.datasets.patches import Patches, PatchOptions
    from respectra.datasets.prepare import estimate_seconds, prepare_store
    from respectra.datasets.scenes import valid_pixels
    from respectra.datasets.series import save_scenes
    from respectra.datasets.spectra import (
        illuminants,
        list_illuminant_collections,
        list_reflectances,
        reflectances,
    )
    from respectra.datasets.splits import (
        list_official_splits,
        official_split,
        split_by_scene,
        split_officially,
    )
    from respectra.datasets.store import open_store
    from respectra.datasets.store_plan import PrepareOptions, plan_store
    from respectra.datasets.synthesize import (
        SceneLayers,
        SynthesisOptions,
        synthesize_layers,
        synthesize_scene,
    )
    from respectra.datasets.white_light import light_of_white

__all__ = [
    "Collection",
    "CollectionReport",
    "PatchOptions",
    "Patches",
    "PrepareOptions",
    "Scene",
    "SceneLayers",
    "SceneReport",
    "SynthesisOptions",
    "check_collection",
    "estimate_seconds",
    "illuminants",
    "light_of_white",
    "list_illuminant_collections",
    "list_layouts",
    "list_official_splits",
    "list_reflectances",
    "official_split",
    "open_collection",
    "open_store",
    "patch_loader",
    "plan_store",
    "prepare_store",
    "reflectances",
    "save_scenes",
    "split_by_scene",
    "split_officially",
    "synthesize_layers",
    "synthesize_scene",
    "valid_pixels",
]

__getattr__ = lazy_names(
    __name__,
    {
        "checking": ("CollectionReport", "SceneReport", "check_collection"),
        "collections": ("Collection", "Scene", "list_layouts", "open_collection"),
        "loading": ("patch_loader",),
        "patches": ("PatchOptions", "Patches"),
        "store_plan": ("PrepareOptions", "plan_store"),
        "prepare": ("estimate_seconds", "prepare_store"),
        "series": ("save_scenes",),
        "spectra": (
            "illuminants",
            "list_illuminant_collections",
            "list_reflectances",
            "reflectances",
        ),
        "splits": ("list_official_splits", "official_split", "split_by_scene", "split_officially"),
        "store": ("open_store",),
        "synthesize": ("SceneLayers", "SynthesisOptions", "synthesize_layers", "synthesize_scene"),
        "scenes": ("valid_pixels",),
        "white_light": ("light_of_white",),
    },
)
