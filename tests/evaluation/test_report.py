"""The report: everything is on the page, nothing comes from elsewhere, nothing breaks it."""

from __future__ import annotations

import dataclasses
import html
import importlib
import itertools
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube, save_cube
from respectra.datasets.collections import open_collection
from respectra.errors import ConfigError, OutputError
from respectra.evaluation import (
    Entry,
    EvaluationOptions,
    Protocol,
    Results,
    Row,
    build_report,
    evaluate,
    evaluation_scenes_of,
    load_results,
    published_table,
    report_tables,
    save_report,
    scenes_without_truth,
)
from respectra.evaluation.details import (
    BRIGHTNESS_STEPS,
    CONSISTENCY_EDGES,
    DELTA_E_EDGES,
    KINDS,
    MAP_SIDE,
    save_details,
)
from respectra.evaluation.protocol import SceneRecord
from respectra.evaluation.report.build import reproduction_command
from respectra.evaluation.report.charts import Scale, show_value, tag
from respectra.evaluation.report.pictures import ErrorScale, data_uri
from respectra.evaluation.results import PLAIN, details_path, save_results, scene_path

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'
_VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """What a browser would see: elements, words, and whether every element ends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))
        if name not in _VOID:
            self._open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self._open.pop() == name

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.scripts += data
        else:
            self.words.append(data)

    def all(self, name: str, **wanted: str) -> list[dict[str, str | None]]:
        return [
            found
            for element, found in self.elements
            if element == name and all(found.get(k.rstrip("_")) == v for k, v in wanted.items())
        ]


def grey(level: float) -> Any:
    def make(track: str) -> Any:
        def recover(image: xr.DataArray) -> xr.DataArray:
            mean = image.values.mean(axis=2, keepdims=True)
            return make_cube(np.repeat(mean, 31, axis=2) + level, CHALLENGE_WAVELENGTHS_NM)

        return recover

    return make


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A real evaluation, so that the page reads what is really stored."""
    root = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(1)
    for name in ("one", "two & <three>"):
        tone = rng.uniform(0.05, 0.8, (16, 20, 1))
        slope = np.linspace(0.4, 1.0, 31) ** rng.uniform(0.2, 2, (16, 20, 1))
        save_cube(make_cube(tone * slope, CHALLENGE_WAVELENGTHS_NM), root / f"{name}.npz")
    options = EvaluationOptions(
        tracks=("clean", "real-world"),
        tests=("shuffle-4", "physical", "weighted", "noise-5000"),
        clusters=5,
        floor=0.01,
        seeds=(3,),
    )
    methods = [Entry("dark", grey(0.01), "0001"), Entry("light", grey(0.2), "0002")]
    subjects = evaluation_scenes_of(open_collection(root))
    folder = tmp_path_factory.mktemp("out") / "r"
    evaluate(methods, subjects, folder, options, timing_runs=1, collections={"main": "still"})
    return load_results(folder)


@pytest.fixture(scope="module")
def text(results: Results) -> str:
    return build_report(results)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_value_of_every_table_is_there(results, page):
    words = set(page.words)
    for table in report_tables(results):
        assert table.title in words
        for row in table.rows:
            assert set(row) <= words


def test_nothing_comes_from_elsewhere(page):
    loading = {"srcset", "poster", "data", "action", "background", "xlink:href"}
    for name, attributes in page.elements:
        assert not loading & attributes.keys()
        link = attributes.get("href") or attributes.get("src") or ""
        allowed = ("#", "data:image/webp") if name != "a" else ("#", "https://arxiv.org/")
        assert not link or link.startswith(allowed)
    assert not page.all("link")
    assert not re.search(r"url\((?!#)|@import|fetch\(|http", page.scripts)
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"] or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_policy_lets_the_own_style_and_script_through(text):
    import base64
    import hashlib

    for name in ("style", "script"):
        (content,) = re.findall(f"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"sha256-{digest}" in html.unescape(text)
    assert not re.search(r"<[a-z]+ [^>]*\bstyle=", text)


def test_every_figure_is_there(results, page):
    methods, tracks, scenes = 2, 2, 2
    labels = [e.get("aria-label") or "" for e in page.all("svg", role="img")]
    counts = {
        "Error map of": methods * tracks * scenes,
        "Preview of": tracks * scenes,
        "Pixel ": KINDS * tracks * scenes,
        "By band": tracks,
        "By brightness": tracks,
        "By cluster": tracks,
        "Cost against accuracy": tracks,
        "MRAE of": tracks,
        "Colours of all error maps": 1,
    }
    for start, count in counts.items():
        assert sum(label.startswith(start) for label in labels) == count, start
    assert sum("best pixel" in label for label in labels) == methods * tracks * scenes
    assert sum("worst pixel" in label for label in labels) == methods * tracks * scenes
    # Relative errors for both tracks, colour differences where the camera sees colours.
    assert sum(label.startswith("Histogram") for label in labels) == methods * (tracks + 1)


def test_pictures_are_told_to_those_who_do_not_see_them(page):
    for name, attributes in page.elements:
        if name == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h\d", name)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"


def test_published_scores_stand_apart(text):
    inside, outside = "", text
    for found in re.findall(r'<section id="published".*?</section>', text, re.DOTALL):
        inside, outside = inside + found, outside.replace(found, "")
    assert "Published on ARAD" in inside
    for team in ("IPIC_SSR", "OrangeCat"):
        assert team in inside
        assert team not in outside
    for row in published_table("1").rows:
        assert all(html.escape(cell) in inside for cell in row)


def test_the_protocol_can_be_repeated(results, page):
    words = " ".join(page.words)
    frozen = results.protocol
    assert frozen.fingerprint in words
    for version in frozen.versions.values():
        assert version in words
    for scene in frozen.scenes:
        assert scene.truth in words
    for rule in frozen.statements.values():
        assert rule in words


def test_the_command_gives_the_same_options(tmp_path, monkeypatch):
    """What the page says to type is parsed by the command itself."""
    app = importlib.import_module("respectra.cli.app")
    importlib.import_module("respectra.cli.evaluate")
    import shlex

    import respectra.evaluation as room
    from respectra.evaluation import run as running

    root = tmp_path / "my scenes"
    root.mkdir()
    for name in ("a", "b"):
        values = np.full((8, 8, 31), 0.3, np.float32)
        save_cube(make_cube(values, CHALLENGE_WAVELENGTHS_NM), root / f"{name}.npz")
    options = EvaluationOptions(
        tracks=("clean",), tests=("shuffle-4", "jpeg-60"), floor=0.02, seeds=(4, 5), crop="none"
    )
    subjects = evaluation_scenes_of(open_collection(root).select(("b",)))
    entries = room.find_entries(["pca"], tracks=options.tracks)
    monkeypatch.chdir(tmp_path)
    first = evaluate(
        entries, subjects, "r", options, timing_runs=0, collections={"main": "my scenes"}
    )
    command, notes = reproduction_command(first)
    assert command is not None
    assert not notes
    seen: list[Any] = []
    real = running.evaluate

    def watch(*arguments: Any, **more: Any) -> Results:
        seen.append(real(*arguments, **more))
        return seen[-1]

    monkeypatch.setattr(running, "evaluate", watch)
    assert app.run(shlex.split(command)[1:]) == 0
    assert seen[0].protocol.options == options
    assert seen[0].protocol.fingerprint == first.protocol.fingerprint
    assert (tmp_path / "REPORT" / "report.html").is_file()


def test_methods_made_in_python_have_no_command(results):
    command, notes = reproduction_command(results)
    assert command is None
    assert any("dark was made in Python" in note for note in notes)


def synthetic(folder: Path, scenes: list[str], methods: list[str], tracks: tuple[str, ...]):
    """Results as an evaluation stores them, of noise: nothing compresses worse."""
    rng = np.random.default_rng(7)
    records = tuple(SceneRecord(name=name, truth="0" * 64) for name in scenes)
    options = EvaluationOptions(tracks=tracks, tests=("physical", "weighted"), floor=0.01)
    protocol = Protocol(options=options, collections={"main": scenes[0]}, scenes=records)
    of_scene, of_method = folder / "scene.npz", folder / "method.npz"
    save_details(
        {
            "preview": rng.integers(0, 255, (MAP_SIDE, MAP_SIDE, 3)).astype(np.uint8),
            "step": np.array([3], np.int32),
            "shape": np.array([512, 512], np.int32),
            "wavelengths_nm": np.linspace(400, 700, 31),
            "pixels": rng.integers(0, 512, (KINDS, 2)).astype(np.int32),
            "spectra": rng.random((KINDS, 31)).astype(np.float32),
            "shares": np.full(KINDS, 1 / KINDS, np.float32),
            "brightness_edges": np.linspace(0, 1, 11).astype(np.float32),
        },
        of_scene,
    )
    save_details(
        {
            "error_map": rng.lognormal(-2, 1, (MAP_SIDE, MAP_SIDE)).astype(np.float16),
            "by_band": rng.random(31).astype(np.float32),
            "by_brightness": rng.random(BRIGHTNESS_STEPS).astype(np.float32),
            "cluster_errors": rng.random(1000).astype(np.float32),
            "spectra": rng.random((KINDS, 31)).astype(np.float32),
            "best": np.array([1, 2], np.int32),
            "worst": np.array([500, 510], np.int32),
            "best_spectra": rng.random((2, 31)).astype(np.float32),
            "worst_spectra": rng.random((2, 31)).astype(np.float32),
            "consistency": rng.integers(0, 99, CONSISTENCY_EDGES.size - 1),
            "delta_e": rng.integers(0, 99, DELTA_E_EDGES.size - 1),
            "consistency_p95": np.array([0.2], np.float32),
            "delta_e_p95": np.array([3.0], np.float32),
        },
        of_method,
    )
    rows = []
    for track, name in itertools.product(tracks, scenes):
        place = scene_path(folder, "main", track, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(of_scene, place)
        for method in methods:
            scores = {"mrae": 0.1, "rmse": 0.01}
            row = Row("main", name, track, 0, method, PLAIN, scores=scores)
            rows.append(row)
            place = details_path(folder, row)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(of_method, place)
    results = Results(protocol, tuple(rows), (), {name: {} for name in methods}, folder)
    save_results(results, folder)
    return results


def test_twenty_scenes_of_noise_stay_below_five_megabytes(tmp_path):
    scenes = [f"scene {n}" for n in range(20)]
    methods = [f"method {n}" for n in range(4)]
    made = synthetic(tmp_path, scenes, methods, ("clean", "real-world"))
    assert len(build_report(made).encode()) < 5_000_000


def test_of_many_scenes_and_methods_figures_show_some_and_say_so(tmp_path):
    scenes = [f"scene {n}" for n in range(23)]
    methods = [f"method {n}" for n in range(9)]
    made = synthetic(tmp_path, scenes, methods, ("clean",))
    text = build_report(made, methods=["method 8"])
    page = Page(text)
    assert len(page.all("details", class_="scene")) == 20
    assert "20 of 23 scenes" in text
    assert "Figures leave out 8 methods" in text
    assert "scene 22" in text
    labels = [e.get("aria-label") or "" for e in page.all("svg", role="img")]
    assert not any("method 1" in label for label in labels)


def test_hostile_names_are_words(tmp_path):
    # A scene's name with slashes cannot be a file; the rest of them can.
    name, method = HOSTILE.replace("/", "⁄"), "javascript:alert(1)' onload='x"
    made = synthetic(tmp_path, [name], [method], ("clean",))
    facts = {method: {"method": HOSTILE, "source": HOSTILE, "fingerprints": {HOSTILE: HOSTILE}}}
    notes = tuple(dataclasses.replace(row, note=HOSTILE) for row in made.rows)
    versions = made.protocol.model_copy(
        update={"versions": {HOSTILE: HOSTILE}, "collections": {"main": HOSTILE}}
    )
    text = build_report(dataclasses.replace(made, protocol=versions, methods=facts, rows=notes))
    page = Page(text)
    assert len(page.all("script")) == 1
    assert not page.all("img")
    for _, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")]
        assert not (attributes.get("href") or "").startswith("javascript")
    assert any(name in words for words in page.words)
    assert any(HOSTILE in words for words in page.words)


def test_names_do_not_lead_out_of_the_folder(tmp_path):
    made = synthetic(tmp_path / "elsewhere", ["secret"], ["m"], ("clean",))
    name = "../../../../../elsewhere/details/main/clean/secret"
    records = (SceneRecord(name=name, truth="0" * 64),)
    protocol = made.protocol.model_copy(update={"scenes": records})
    folder = tmp_path / "r"
    (folder / "details" / "main" / "clean").mkdir(parents=True)
    text = build_report(dataclasses.replace(made, protocol=protocol, folder=folder))
    assert 'id="scenes"' not in text


@pytest.mark.parametrize("damage", ["missing", "truncated", "shapes", "kinds"])
def test_damaged_details_leave_the_rest_of_the_page(tmp_path, damage):
    made = synthetic(tmp_path, ["a", "b"], ["m"], ("clean",))
    path = details_path(tmp_path, next(made.select(scene="a")))
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:99])
    elif damage == "shapes":
        save_details({"error_map": np.zeros(3), "by_band": np.zeros(2)}, path)
    else:
        save_details({"error_map": np.array([["x"]]), "best": np.array(["x", "y"])}, path)
    page = Page(build_report(made))
    labels = [e.get("aria-label") or "" for e in page.all("svg", role="img")]
    assert any(label.startswith("Error map of m on b") for label in labels)
    assert not any(label.startswith("Error map of m on a") for label in labels)


def test_images_without_truth_have_a_page_too(tmp_path):
    from respectra.cameras import get_track, save_image

    rng = np.random.default_rng(3)
    cube = make_cube(rng.uniform(0.1, 0.9, (16, 16, 31)), CHALLENGE_WAVELENGTHS_NM)
    (tmp_path / "images").mkdir()
    save_image(get_track("clean").render(cube), tmp_path / "images" / "A_clean.png")
    found = scenes_without_truth(tmp_path / "images")
    options = EvaluationOptions(tests=("physical",))
    made = evaluate(
        [Entry("dark", grey(0.01), "0001")], found, tmp_path / "r", options, timing_runs=0
    )
    text = build_report(made)
    page = Page(text)
    assert "no truth" in text
    assert [image["alt"] for image in page.all("img")] == ["Preview of A"]
    assert 'id="accuracy"' not in text
    assert "Histogram for dark" in text


def test_choices_that_cannot_be_shown_are_refused(results, tmp_path):
    with pytest.raises(ConfigError, match="unknown method"):
        build_report(results, methods=["lihgt"])
    with pytest.raises(ConfigError, match="1 to 8 methods"):
        build_report(results, methods=[])
    with pytest.raises(ConfigError, match="holds no scores"):
        build_report(dataclasses.replace(results, rows=()))
    (tmp_path / "page.html").touch()
    with pytest.raises(OutputError, match="exists already"):
        save_report(results, tmp_path / "page.html")


def test_the_command_writes_the_page(results, tmp_path, capsys):
    run = importlib.import_module("respectra.cli.app").run
    importlib.import_module("respectra.cli.leaderboard")
    target = tmp_path / "page.html"
    assert run(["report", str(results.folder), "-o", str(target), "--methods", "light"]) == 0
    labels = [e.get("aria-label") or "" for e in Page(target.read_text("utf-8")).all("svg")]
    assert any("Error map of light" in label for label in labels)
    assert not any("Error map of dark" in label for label in labels)
    assert run(["report", str(tmp_path), "-o", str(tmp_path / "b.html")]) == 1
    assert "holds no results" in capsys.readouterr().err


def test_markup_escapes_all_but_markup():
    made = tag("p", {"title": '"<&', "hidden": True, "x": 1.25, "y": None}, "<b>", [tag("br")])
    assert made == '<p title="&#34;&lt;&amp;" hidden x="1.2">&lt;b&gt;<br></p>'


def test_one_scale_of_colours_grows_lighter_with_the_error():
    rng = np.random.default_rng(5)
    errors = np.sort(rng.lognormal(-2, 1, (1, 400)))
    scale = ErrorScale.of([errors])
    light = scale.colours(errors).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light[0]) >= -1).all()
    assert light[0, -1] - light[0, 0] > 150
    assert (scale.colours(np.array([[np.nan]])) == 128).all()
    assert ErrorScale.of([]) == ErrorScale(0.01, 1.0)


def test_pictures_fit_their_room(rng):
    noise = rng.integers(0, 255, (192, 192, 3)).astype(np.uint8)
    assert len(data_uri(noise, 6000)) <= 6000
    assert data_uri(noise[:10, :20], 6000).startswith("data:image/webp;base64,")


def test_a_narrow_logarithmic_axis_has_more_than_one_tick():
    scale = Scale(0.12, 0.29, 0, 100, logarithmic=True)
    assert scale.ticks() == pytest.approx([0.12, 0.15, 0.2, 0.25])
    assert Scale(0.01, 1.1, 0, 100, logarithmic=True).ticks() == pytest.approx(
        [0.01, 0.03, 0.1, 0.3, 1.0]
    )


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("values", [(0.1, 0.9), (0.3, 0.3), (1e-5, 4.0), (7.0, 2300.0), ()])
def test_axes_hold_their_values_and_have_ticks(values, logarithmic):
    scale = Scale.over(values, 0, 100, logarithmic=logarithmic)
    assert all(scale.low <= v <= scale.high for v in values)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8
    assert all(0 <= scale(tick) <= 100 for tick in ticks)
    assert scale(scale.low) == 0
    assert scale(scale.high) == pytest.approx(100)


def test_histograms_say_the_quantile_of_the_table(results, page):
    """Mean over scenes of the exact quantiles, not a guess from the bins."""
    labels = [e.get("aria-label") or "" for e in page.all("svg", role="img")]
    for method in results.names:
        for metric, title in (("image_error_p95", "relative"), ("image_delta_e_2000_p95", "ΔE")):
            value = results.mean(method, "clean", "physical", metric).value
            start = f"Histogram for {method} of the {title}"
            found = [label for label in labels if label.startswith(start)]
            assert f"95 %: {show_value(value)}" in found[0]


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.012345, "0.0123"), (1234.5, "1234"), (0.0, "0"), (2e-7, "2e-07"), (float("nan"), "–")],
)
def test_values_read_well(value, words):
    assert show_value(value) == words
