"""What a server offers, in plain words."""

from __future__ import annotations

from typing import Any

from respectra.cameras import list_cameras
from respectra.colour import OBSERVERS, list_illuminants
from respectra.cubes.formats import FORMATS
from respectra.viewer.rendering import LIGHTS

_INPUTS = {
    "auto": ("Find out", "By the file's name: pictures of the challenge, else an ordinary photo."),
    "srgb": ("Ordinary photo", "From a phone, a camera or the web: sRGB, white balanced."),
    "clean": ("Challenge, clean track", "8-bit values of the ideal camera, without noise."),
    "real-world": ("Challenge, real-world track", "JPEG of a camera with noise and mosaic."),
    "linear": ("Linear light", "What a raw converter writes without a tone curve."),
    "camera": ("Raw camera values", "Codes of a camera that you name, or of its raw file."),
}
_GUARANTEES = {
    "consistent": (
        "Gives the same picture back",
        "The recovered spectra, seen by the camera, are the picture that was given.",
    ),
    "non-negative": ("No negative light", "No band of any spectrum is below zero."),
    "exposure-invariant": (
        "Exposure changes nothing else",
        "Twice the light gives exactly twice the spectrum.",
    ),
    "smooth": ("Smooth spectra", "Among the spectra that fit, the smoothest one nearby."),
}
_OBSERVERS = {"cie1931": "2° (CIE 1931)", "cie1964": "10° (CIE 1964)"}


def offer() -> dict[str, Any]:
    """Choices of methods, kinds of input, guarantees, formats, lights and observers."""
    from respectra.methods import get_card, list_methods  # brings torch along
    from respectra.methods.shipped import list_shipped

    methods = [
        _choice(
            "default",
            "Respectra",
            "The network that ships with Respectra: the most accurate. Start here.",
        ),
        _choice(
            "default-classical",
            "Respectra, classical",
            "Fitted on measured materials under daylight. Sees one pixel at a time, and is fast.",
        ),
    ]
    for name in list_methods("classical"):
        card = get_card(name)
        methods.append(_choice(name, card.title, card.summary))
    has_real_world = "real-world" in list_shipped()
    return {
        "methods": methods,
        "inputs": [
            _choice(name, *words)
            for name, words in _INPUTS.items()
            if name != "real-world" or has_real_world
        ],
        "guarantees": [_choice(name, *words) for name, words in _GUARANTEES.items()],
        "formats": [
            _choice(entry.name, entry.title, f"Keeps {entry.preserves}.")
            for entry in FORMATS
            if entry.name != "matlab-v5"
        ],
        **views(),
        "cameras": list_cameras(),
        "scene_lights": list_illuminants(),
    }


def views() -> dict[str, Any]:
    """Choices of how to look at what is there already."""
    return {
        "lights": [_choice(name, title, "") for name, title in LIGHTS.items()],
        "observers": [_choice(name, _OBSERVERS.get(name, name), "") for name in OBSERVERS],
    }


def _choice(name: str, title: str, words: str) -> dict[str, str]:
    return {"name": name, "title": title, "words": words}
