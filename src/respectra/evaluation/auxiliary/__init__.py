"""The auxiliary tests of the challenge's report, and those it asks for between the lines."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from respectra.cameras.references import MOST
from respectra.errors import unknown_name
from respectra.evaluation.auxiliary.base import (
    Case,
    Challenge,
    InputTest,
    OutputTest,
    Recover,
    Scores,
    Test,
    score,
)
from respectra.evaluation.auxiliary.cameras import (
    COUNT,
    COUNTS,
    LIGHTS,
    KnownSpectra,
    Light,
    OtherCamera,
    ToldCamera,
    camera_names,
    choose_cameras,
    other_camera,
)
from respectra.evaluation.auxiliary.inputs import (
    AddedNoise,
    Brightness,
    Compression,
    SpatialShuffle,
    shuffle,
    unshuffle,
)
from respectra.evaluation.auxiliary.outputs import (
    Metamers,
    PhysicalConsistency,
    Uncertain,
    UncertaintyCalibration,
    WeightedAccuracy,
    calibration,
    image_delta_e,
    image_errors,
    metamer,
    mismatching_pixels,
)
from respectra.registry import Registry
from respectra.renaming import lazy_names

_FAMILIES: Mapping[str, tuple[Test, ...]] = {
    "shuffle": tuple(SpatialShuffle(block=b) for b in (4, 64, 16, 8, 2, 1)),
    "brightness": tuple(Brightness(factor=f) for f in (0.5, 2.0, 0.1, 0.25, 4.0)),
    "physical": (PhysicalConsistency(),),
    "weighted": (WeightedAccuracy(),),
    "metamer": tuple(Metamers(change=c) for c in ("without", "double", "random")),
    "noise": tuple(AddedNoise(electrons=e) for e in (20000.0, 5000.0, 1250.0, 300.0)),
    "jpeg": tuple(Compression(quality=q) for q in (95, 80, 60, 40, 20)),
    "camera": tuple(OtherCamera(number=n) for n in range(1, COUNT + 1)),
    "calibration": (UncertaintyCalibration(),),
    "camera-told": tuple(ToldCamera(number=n, how="told") for n in range(1, COUNT + 1)),
    "camera-matrix": tuple(ToldCamera(number=n, how="matrix") for n in range(1, COUNT + 1)),
    "light": tuple(Light(light=light) for light in LIGHTS),
    "light-told": tuple(Light(light=light, told=True) for light in LIGHTS),
    "references": tuple(KnownSpectra(count=count) for count in COUNTS),
}


def _accept(name: str, entry: object) -> Test:
    if not isinstance(entry, InputTest | OutputTest):
        raise TypeError(f"expected an InputTest or an OutputTest, got {entry!r}")
    if entry.name != name:
        raise ValueError(f"it calls itself {entry.name!r}; both names must be the same")
    return entry


#: Every auxiliary test by name; other packages add theirs through the entry points
#: ``respectra.tests``. A second collection, which is the test out of scope, is an input
#: of the evaluation and not in here.
TESTS: Registry[Test] = Registry("auxiliary test", group="respectra.tests", accept=_accept)
for _test in (test for tests in _FAMILIES.values() for test in tests):
    TESTS.add(_test.name, functools.partial(_accept, _test.name, _test))


def select_tests(names: str | Iterable[str]) -> tuple[Test, ...]:
    """Tests by name.

    Args:
        names: ``all`` (but for those in which the method is told something), ``official`` (those
            of the report), ``none``, families such as ``shuffle`` or ``camera-told``, or single
            tests such as ``shuffle-4``, and ``references-N`` for any N; a list, or a string with
            commas.

    Raises:
        ConfigError: an unknown name; suggests those near to it.
    """
    words = names.split(",") if isinstance(names, str) else list(names)
    chosen: dict[str, Test] = {}
    for word in (w.strip() for w in words):
        if word == "all":
            found: Iterable[Test] = [test for _, test in TESTS.usable() if test.in_all]
        elif word == "official":
            found = [test for _, test in TESTS.usable() if test.official]
        elif word in ("none", ""):
            found = ()
        elif word in _FAMILIES:
            found = _FAMILIES[word]
        elif word in TESTS or _add_references(word):
            found = (TESTS[word],)
        else:
            known = ("all", "official", "none", *_FAMILIES, *TESTS)
            raise unknown_name("auxiliary test", word, known)
        chosen |= {test.name: test for test in found}
    return tuple(chosen[name] for name in TESTS if name in chosen)


def _add_references(word: str) -> bool:
    """Whether a name is that of the test with another number of references, which then is there."""
    count = word.removeprefix("references-")
    if count == word or not count.isdecimal() or not 1 <= int(count) <= MOST:
        return False
    test = KnownSpectra(count=int(count))
    if test.name == word:
        TESTS.add(word, functools.partial(_accept, word, test))
    return test.name == word


__getattr__ = lazy_names(
    __name__,
    former={
        "Calibration": "UncertaintyCalibration",
        "Noise": "AddedNoise",
        "Rules": "respectra.evaluation.rules.ScoringRules",
    },
)

__all__ = [
    "COUNT",
    "COUNTS",
    "TESTS",
    "AddedNoise",
    "Brightness",
    "Case",
    "Challenge",
    "Compression",
    "InputTest",
    "KnownSpectra",
    "Light",
    "Metamers",
    "OtherCamera",
    "OutputTest",
    "PhysicalConsistency",
    "Recover",
    "Scores",
    "SpatialShuffle",
    "Test",
    "ToldCamera",
    "Uncertain",
    "UncertaintyCalibration",
    "WeightedAccuracy",
    "calibration",
    "camera_names",
    "choose_cameras",
    "image_delta_e",
    "image_errors",
    "metamer",
    "mismatching_pixels",
    "other_camera",
    "score",
    "select_tests",
    "shuffle",
    "unshuffle",
]
