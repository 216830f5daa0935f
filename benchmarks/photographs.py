"""What a photograph costs: charts photographed by real cameras, and single colours.

    RESPECTRA_DATA=... python benchmarks/photographs.py [--colours 200]
    ... --only charts --write docs/benchmarks/photographs.md
    ... --only colours --colours 150 --write docs/benchmarks/colours.md

Truth of the charts: colour-science's BabelColor average; spectra are divided by those of the patch
neutral 8, 420 to 680 nm, clipped patches and neutral 8 itself left out. What undoes cameras'
renderings (``--tone generic``) saw no photograph. Ways that need the chart were chosen on the
photographs under open licences.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pages
from PIL import Image

import respectra as rs
from respectra.cameras import Capture, Tone
from respectra.cameras.calibration import open_chart
from respectra.cameras.calibration.charts import colours_of
from respectra.cameras.calibration.fitting import (
    DEVELOPED_WAYS,
    cross_validate,
    fit_tone,
    fit_way,
)
from respectra.cameras.correction import light_of
from respectra.cameras.pictures.profiles import open_profile
from respectra.cameras.pictures.source import Said
from respectra.cameras.pictures.tone import LIGHT_SPACE, Rendering
from respectra.cameras.response_prior import GRID_NM, response_prior
from respectra.cameras.responses import make_response
from respectra.colour import encode_srgb, open_light, resample_light, rgb_space, xyz_weights
from respectra.datasets.spectra import reflectances
from respectra.inference.single_colours import recover_colours

DATA = Path(os.environ.get("RESPECTRA_DATA", "data"))
SCORED = (GRID_NM >= 420) & (GRID_NM <= 680)
NEUTRAL_8 = 19
OPEN = ("MIT", "MPL-2.0", "3-clause BSD-like (Python-Macduff)")
#: Measured reflectances that nothing was learned from, and what was; see near().
SETS = ("ptb_nickerson462", "ptb_vrhel170", "vrhel_dupont120", "sfu1993_additional")
LEARNED = ("rawtoaces", "cie-ces99", "pmc", "colorchecker-babelcolor", "cqs", "cie-tcs", "earthlib")
SAME = 0.012
CHART = open_chart("classic24").spectra
TRUTH = CHART / CHART[NEUTRAL_8]
COLOURS = colours_of(CHART)
ABOUT_CHARTS = """
Colour charts photographed by real cameras, `rs.load()`; MRAE of the chart's spectra (BabelColor's
average), divided by those of neutral 8, 420 to 680 nm; clipped patches and neutral 8 are left out.
What `--tone generic` undoes was learned from simulated cameras: no photograph was fitted.
"""
ABOUT_COLOURS = """
Single colours, as 8-bit sRGB under D65, of measured reflectances that lie in sRGB and are not
within 0.012 of a spectrum that was learned from. MRAE of the spectra; mean ΔE 2000 under three
other lights; codes that differ when the spectrum is rendered again. Colour-science's functions are
called colour by colour, as they are made.
"""
Scores = dict[str, Any]


def patches_of(photo: dict[str, Any]) -> list[int]:
    clipped = photo["clipped_patches"] or []
    return [k for k in range(24) if k + 1 not in clipped and k != NEUTRAL_8]


def mrae(spectra, photo) -> float:
    kept = patches_of(photo)
    relative = (spectra / spectra[NEUTRAL_8])[kept][:, SCORED]
    truth = TRUTH[kept][:, SCORED]
    return float((np.abs(relative - truth) / truth).mean())


def recover(rec, values, capture=None, space="srgb"):
    """Spectra of linear values of a space, or of a camera's where a capture is given."""
    clipped = np.clip(values, 0, 1)[None].astype(np.float32)
    spaces = {} if capture is not None else {"space": space}
    image = rs.make_image(clipped, encoding="linear", bits=32, **spaces)
    return np.asarray(rec(image, capture=capture).values)[0]


def left_out(rec, values, photo, way) -> tuple[float, float]:
    """MRAE where each patch was corrected by what the others say.

    Args:
        way: (values and numbers of the other patches, values of all) -> light of all.

    Returns:
        neutral 8, by which spectra are divided and which is not scored, corrected as the patch is,
        and corrected without itself too.
    """
    usable = [*patches_of(photo), NEUTRAL_8]
    rows = np.empty((24, 24, 3))
    for index in usable:
        kept = [k for k in usable if k != index]
        rows[index] = way(values[kept], kept, values)
    errors = []
    for index in patches_of(photo):
        light = np.vstack([rows[index], rows[NEUTRAL_8, NEUTRAL_8]])
        spectra = recover(rec, light / max(1.0, light.max()))[:, SCORED]
        relative, truth = spectra[index] / spectra[[NEUTRAL_8, 24]], TRUTH[index][SCORED]
        errors.append((np.abs(relative - truth) / truth).mean(axis=1))
    shared, strict = np.mean(errors, axis=0)
    return float(shared), float(strict)


_TONES: dict[bytes, Tone] = {}


def tone_of(values, kept) -> Tone:
    """The tone curve of patches; every way asks for it."""
    key = values.tobytes()
    if key not in _TONES:
        _TONES[key] = fit_tone(CHART[kept], values)
    return _TONES[key]


def by_way(name, *, tone=None):
    """A way of `respectra calibrate`, its tone curve fitted anew or told."""

    def correct(values, kept, every):
        curve = tone or tone_of(values, kept)
        undone = np.asarray(curve.undo(values), np.float64)
        fitted = fit_way(name, undone, COLOURS[kept])
        return light_of(np.asarray(curve.undo(every), np.float64), fitted)

    return correct


def by_choice(values, kept, every):
    """The way that cross-validation over the chart picks, without the patch that is left out."""
    curve = tone_of(values, kept)
    undone = np.asarray(curve.undo(values), np.float64)
    scores = cross_validate(CHART[kept], undone, COLOURS[kept], None)
    fitted = fit_way(min(scores, key=lambda name: scores[name]), undone, COLOURS[kept])
    return light_of(np.asarray(curve.undo(every), np.float64), fitted)


def as_written(photo) -> tuple[np.ndarray, str]:
    """Linear values of patches by the photograph's own profile, and their space.

    The data were read through sRGB's curve, whatever the profile. Where the file is not at hand,
    the profile's name says what it is.
    """
    values, profile = np.array(photo["patch_linear_rgb"]), str(photo["profile"])
    file = DATA / "charts/photos" / photo["file"]
    data = Image.open(file).info.get("icc_profile") if file.exists() else None
    if data:
        found = open_profile(data, Said("rgb", 1.0, 32))
        if found.apply is not None and found.space is not None:
            return np.asarray(found.apply(encode_srgb(values)), np.float64), found.space
    if "P3" in profile:  # with sRGB's curve
        return values, "display-p3"
    if "Adobe RGB" in profile:
        space = rgb_space("adobe-rgb")
        return np.asarray(space.decode(encode_srgb(values)), np.float64), space.name
    return values, "srgb"


def left_out_scores(rec, name, photos, values, way) -> Scores:
    """A patch left out; and with it neutral 8, from what is known of it."""
    found = [left_out(rec, values[p["id"]], p, way) for p in photos]
    shared, strict = zip(*found, strict=True)
    seen = [p["licence"] in OPEN for p in photos]
    scored: Scores = {name: shared}
    if any(seen):
        unseen = [e for e, s in zip(shared, seen, strict=True) if not s]
        scored[f"– {name}: those that nothing was chosen on"] = unseen
    scored[f"– {name}: neutral 8 without itself too"] = strict
    return scored


def charts(rec, page: pages.Page) -> None:
    scored: Scores = {}
    notes = []
    photos = json.loads((DATA / "charts/charts.json").read_text())["photos"]
    developed = [p for p in photos if p["group"] == "A jpeg"]
    linear = [p for p in photos if p["group"] == "C2 linear"]
    values = {p["id"]: np.array(p["patch_linear_rgb"]) for p in developed + linear}
    generic = Rendering()
    ignored = np.array([mrae(recover(rec, values[p["id"]]), p) for p in developed])
    plain, undone = (np.empty(len(developed)) for _ in range(2))
    for number, photo in enumerate(developed):
        shown, space = as_written(photo)
        plain[number] = mrae(recover(rec, shown, space=space), photo)
        light = generic.undo(shown, space)
        undone[number] = mrae(recover(rec, light, space=LIGHT_SPACE), photo)
    scored["developed, as they are, profiles ignored"] = ignored
    scored["developed, as they are"] = plain
    scored["developed, cameras' renderings undone (`--tone generic`)"] = undone
    notes.append(
        f"Undone is nearer on {(undone < plain).sum()} of {plain.size}, by "
        f"{np.median(plain / undone) - 1:.0%} (median); the worst is "
        f"{(undone / plain).max() - 1:.0%} further."
    )
    places = [p["repository"] for p in developed]
    means = {n: np.mean([e for e, m in zip(undone, places, strict=True) if m == n])
             for n in sorted(set(places))}  # fmt: skip
    notes.append("By repository: " + ", ".join(f"{n} {e:.3f}" for n, e in means.items()) + ".")
    for name in DEVELOPED_WAYS:
        label = f"developed, own chart, scored patch left out: {name}"
        scored |= left_out_scores(rec, label, developed, values, by_way(name))
    label = "developed, own chart, scored patch left out: as cross-validation picks"
    scored |= left_out_scores(rec, label, developed, values, by_choice)
    scored["linear, as they are"] = [mrae(recover(rec, values[p["id"]]), p) for p in linear]
    for name in ("matrix", "root-polynomial"):
        label = f"linear, own chart, scored patch left out: {name}"
        scored |= left_out_scores(rec, label, linear, values, by_way(name, tone=Tone()))
    mean = make_response(response_prior().mean, GRID_NM, name="mean camera", source="")
    scores = []
    for photo in linear:
        white = values[photo["id"]][18] / CHART[18].mean()
        capture = Capture(camera=mean, white=tuple(white / max(1.0, white.max())))
        scores.append(mrae(recover(rec, values[photo["id"]], capture), photo))
    scored["linear, white known, the camera taken as the mean of the measured ones"] = scores
    page.table(
        ("photographs", "n", "mean", "median"),
        [(n, len(e), f"{np.mean(e):.3f}", f"{np.median(e):.3f}") for n, e in scored.items()],
    )
    for note in notes:
        page.text(note)


def colour_science():
    import colour

    d65 = colour.SDS_ILLUMINANTS["D65"]
    shape = colour.SpectralShape(400, 700, 10)
    cmfs = colour.MSDS_CMFS["CIE 1931 2 Degree Standard Observer"].copy().align(shape)
    light = d65.copy().align(shape)

    def at(sd):
        return np.interp(GRID_NM, sd.wavelengths, sd.values)

    def xyz(rgb):
        return colour.RGB_to_XYZ(rgb, "sRGB")

    options = {"cmfs": cmfs, "illuminant": light}
    return {
        "Otsu 2018": lambda c: at(colour.recovery.XYZ_to_sd_Otsu2018(xyz(c), **options)),
        "Jakob 2019": lambda c: at(colour.recovery.XYZ_to_sd_Jakob2019(xyz(c), **options)),
        "Meng 2015": lambda c: at(colour.recovery.XYZ_to_sd_Meng2015(xyz(c), **options)),
        "Mallett 2019": lambda c: at(colour.recovery.RGB_to_sd_Mallett2019(c)),
        "Smits 1999": lambda c: at(colour.recovery.RGB_to_sd_Smits1999(c)),
    }


def delta_e(spectra, truth, light):
    import colour

    weights = xyz_weights(resample_light(open_light(light), GRID_NM), GRID_NM)
    white = colour.XYZ_to_xy(weights.sum(axis=0))
    lab = [colour.XYZ_to_Lab(s @ weights, white) for s in (spectra, truth)]
    return float(np.mean(colour.delta_E(*lab, method="CIE 2000")))


def unseen() -> np.ndarray:
    """Spectra of SETS, without those that nearly equal one that was learned from."""
    table = np.load(DATA / "spectra/reflectances_400_700_10nm.npz")
    spectra = np.concatenate([table[name] * float(table["scale"]) for name in SETS])
    known = np.concatenate([reflectances(name).values for name in LEARNED])
    near = np.array([np.abs(known - s).max(axis=1).min() < SAME for s in spectra])
    light = colours_of(spectra)
    inside = (light.min(axis=1) >= 0) & (light.max(axis=1) <= 1) & (spectra.min(axis=1) > 0.005)
    return spectra[inside & ~near]


def single(rec, count: int, page: pages.Page) -> None:
    spectra = unseen()
    chosen = np.random.default_rng(0).permutation(len(spectra))[:count]
    truth = spectra[chosen]
    codes = np.rint(encode_srgb(colours_of(truth)) * 255).astype(np.uint8)
    page.text(f"{len(chosen)} of {len(spectra)} colours of {', '.join(SETS)}.")
    image = rs.make_image((codes / 255)[None], encoding="srgb", bits=8)
    linear = rs.colour.decode_srgb(codes / 255).astype(float)
    many = np.random.default_rng(1).integers(0, 256, (10**6, 3)).astype(np.uint8)
    taken, busy = pages.in_turns({"": lambda: recover_colours(many)}, 7)[""]
    rows = [row("**`recover_colours`**", recover_colours(codes).values, truth, codes, taken)]
    if count < len(spectra):
        everything = np.rint(encode_srgb(colours_of(spectra)) * 255).astype(np.uint8)
        found = recover_colours(everything).values
        rows.append(row(f"– all {len(spectra)} colours", found, spectra, everything, taken))
    large = rs.make_image(many[: 500 * 500].reshape(500, 500, 3) / 255, encoding="srgb", bits=8)
    taken = 4 * pages.in_turns({"": lambda: rec(large)}, 3)[""][0]
    pictures = np.asarray(rec(image).values)[0]
    rows.append(row("– the network for pictures", pictures, truth, codes, taken))
    for name, method in colour_science().items():
        start = time.perf_counter()
        found = []
        for colour in linear:
            try:
                found.append(method(colour))
            except Exception:  # some do not converge
                found.append(np.full(GRID_NM.size, colour.mean()))
        seconds = (time.perf_counter() - start) * 1e6 / len(linear)
        rows.append(row(name, np.array(found), truth, codes, seconds))
    columns = ("", "MRAE", "ΔE under A", "LED-B3", "FL2", "codes that differ", "s per million")
    page.table(columns, rows)
    page.text(f"A million colours by `recover_colours` take {busy:.2f} s of processor time.")


def row(name, found, truth, codes, seconds) -> tuple[str, ...]:
    error = float((np.abs(found - truth) / truth).mean())
    colours = [delta_e(found, truth, light) for light in ("A", "LED-B3", "FL2")]
    again = np.rint(encode_srgb(np.clip(colours_of(found), 0, 1)) * 255)
    differ = float((again != codes).any(axis=1).mean())
    shown = (f"{value:.2f}" for value in colours)
    return (name, f"{error:.3f}", *shown, f"{differ:.1%}", f"{seconds:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--colours", type=int, default=200)
    parser.add_argument("--method", default="default")
    parser.add_argument("--only", choices=("charts", "colours"))
    pages.add_option(parser)
    chosen = parser.parse_args()
    rec = rs.load(chosen.method)
    wanted = [chosen.only] if chosen.only else ["charts", "colours"]
    if chosen.write and len(wanted) > 1:
        parser.error("a page holds charts or colours: give --only as well")
    for part in wanted:
        if part == "charts":
            page = pages.Page("Photographs", ABOUT_CHARTS)
            charts(rec, page)
        else:
            page = pages.Page("Single colours", ABOUT_COLOURS)
            single(rec, chosen.colours, page)
        page.write(chosen.write)


if __name__ == "__main__":
    main()
