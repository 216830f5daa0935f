"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import io
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from tests.viewer.conftest import PATIENCE_S, png, wait_until
from tests.viewer.test_captures import chart_picture

import respectra as rs

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium"
)

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LIVE = "document.querySelector('#plot').spectrum"
JOB = "new URLSearchParams(location.hash.slice(1)).get('job')"
WAIT_MS = 1000 * PATIENCE_S
#: The canvas has the size of its place: what is drawn and what is pointed at agree.
FITTED = """() => {
  const stage = document.querySelector("#stage"), canvas = document.querySelector("#canvas");
  return stage.clientWidth > 0 && canvas.width === Math.round(stage.clientWidth * devicePixelRatio)
    && canvas.height === Math.round(stage.clientHeight * devicePixelRatio);
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=WAIT_MS)
        yield started
        started.close()


@pytest.fixture
def page(browser, server):
    """A page whose errors, refused scripts and foreign requests fail the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    outside = []
    page.on("request", lambda r: outside.append(r.url) if not r.url.startswith(
        (server.url, "blob:", "data:")) else None)  # fmt: skip
    page.goto(server.url)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert not problems
    assert not outside


def choose(page, name, data):
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": data})
    settled(page)


def settled(page):
    """Wait until all of a scene is shown; its job, as the address says it."""
    page.wait_for_selector("#scene[aria-busy=false]")
    page.wait_for_function(f"() => {JOB}")  # the address is written after a moment
    return page.evaluate(JOB)


def stage_box(page):
    """Where the picture's place is, once nothing moves it any more."""
    page.wait_for_function(FITTED)
    return page.locator("#stage").bounding_box()


def screen(page, x, y, width=32, height=24):
    """Where a pixel of a picture is on the screen, when all of it is shown."""
    box = stage_box(page)
    scale = min((box["width"] - 16) / width, (box["height"] - 16) / height)
    left = box["x"] + (box["width"] - width * scale) / 2
    top = box["y"] + (box["height"] - height * scale) / 2
    return left + (x + 0.5) * scale, top + (y + 0.5) * scale


def pins(page, count):
    """Wait until there are so many pins, each with its spectrum."""
    page.wait_for_function(f"() => document.querySelectorAll('#pins li').length === {count}")
    page.wait_for_selector("#pins[aria-busy=false]", state="attached")


def live_spectrum(page, x, y):
    """The spectrum at a pixel of a picture that is done."""
    settled(page)
    read = (
        f"() => [document.querySelector('#readout').textContent, Array.from({LIVE}?.values ?? [])]"
    )

    def pointed():
        page.mouse.move(*screen(page, x, y + 0.2))
        page.mouse.move(*screen(page, x, y))
        page.wait_for_timeout(20)
        said, values = page.evaluate(read)
        return values if said.startswith(f"x {x}, y {y} ·") else None

    return np.array(wait_until(pointed))


@pytest.fixture
def expected(tmp_path):
    path = tmp_path / "a_clean.png"
    path.write_bytes(png())
    return rs.load(guarantees=["consistent"])(rs.open_image(path)).values


def test_drop_wait_hover_read(page, expected):
    choose(page, "a_clean.png", png())
    for x, y in ((3, 5), (20, 14), (31, 23)):
        np.testing.assert_allclose(live_spectrum(page, x, y), expected[y, x], atol=1e-3, rtol=1e-3)


def test_pin_slide_export_and_come_back_by_the_link(page, expected, tmp_path):
    choose(page, "a_clean.png", png())
    page.mouse.click(*screen(page, 10, 6))
    page.keyboard.down("Shift")
    page.mouse.move(*screen(page, 4, 8))
    page.mouse.down()
    page.mouse.move(*screen(page, 7, 10))
    page.mouse.move(*screen(page, 9, 11))
    page.mouse.up()
    page.keyboard.up("Shift")
    pins(page, 2)
    page.fill("#pins li:nth-child(1) input[type=text]", '=cmd|"<b>x')
    page.click("[data-view=band]")
    page.fill("#band", "20")
    page.keyboard.press("Escape")

    page.click("#open-export")
    with page.expect_download() as waiting:
        page.click("#save-csv")
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert lines[0].startswith('wavelength_nm,"\'=cmd|""<b>x"')
    table = np.array([[float(v) for v in line.split(",")] for line in lines[1:]])
    np.testing.assert_allclose(table[:, 1], expected[6, 10], atol=1e-3, rtol=1e-3)
    part = expected[8:12, 4:10].reshape(-1, 31)
    np.testing.assert_allclose(table[:, -2], part.mean(axis=0), atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(table[:, -1], part.std(axis=0), atol=1e-3, rtol=1e-3)
    with page.expect_download() as waiting:
        page.click("#save-png")
    sheet = cv2.imread(str(waiting.value.path()))
    plot = sheet[60:400, int(page.locator("#stage").bounding_box()["width"]) :]
    assert (np.ptp(plot.astype(int), axis=2) > 60).sum() > 200  # lines of the pins' colours
    page.select_option("#format", "npz")
    with page.expect_download() as waiting:
        page.click("#save-cube")
    path = tmp_path / "cube.npz"
    waiting.value.save_as(path)
    np.testing.assert_array_equal(rs.open_cube(path).values, expected)

    page.wait_for_function(
        "() => ['pins=', 'view=band', 'nm='].every((part) => location.hash.includes(part))"
    )
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    settled(page)
    page.wait_for_selector("[data-view=band][aria-checked=true]")
    pins(page, 2)
    assert page.input_value("#pins li:nth-child(1) input[type=text]") == '=cmd|"<b>x'
    assert page.input_value("#band") == "20"


def test_the_keyboard_does_it_all(page, expected):
    choose(page, "a_clean.png", png())
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    pins(page, 1)
    page.keyboard.press("r")
    for key in ("Shift+ArrowLeft", "ArrowDown", "r"):
        page.keyboard.press(key)
    pins(page, 2)
    page.keyboard.press("]")
    page.wait_for_selector("[data-view=band][aria-checked=true]")
    before = page.input_value("#band")
    page.keyboard.press("]")
    page.wait_for_function(f"() => document.querySelector('#band').value === '{int(before) + 1}'")
    page.keyboard.press("Backspace")
    pins(page, 1)


def test_every_view_is_drawn_and_the_truth_is_beside_it(page):
    page.click("#demo")
    settled(page)
    page.click("#ask-close")
    seen = set()

    def new_picture():
        shot = page.locator("#canvas").screenshot()
        return None if shot in seen else shot

    for view in ("colours", "band", "false", "light", "difference"):
        page.click(f"[data-view={view}]")
        seen.add(wait_until(new_picture))
    for view in ("picture", "again"):
        page.click(f"[data-view={view}]")
        page.wait_for_selector(f"[data-view={view}][aria-checked=true]")
    assert "truth" in page.inner_text("#plot-note")


def test_two_methods_are_compared(page, expected, tmp_path):
    choose(page, "a_clean.png", png())
    page.click("#open-compare")
    page.select_option("#compare-with", "method wiener")
    page.click("#compare-go")
    page.wait_for_selector("[data-view=difference]")
    assert page.inner_text("[data-view=difference]") == "Difference"
    live_spectrum(page, 20, 14)
    page.wait_for_function(f"() => {LIVE}.other")
    (tmp_path / "b_clean.png").write_bytes(png())
    other = rs.load("wiener", guarantees=["consistent"])(rs.open_image(tmp_path / "b_clean.png"))
    shown = page.evaluate(f"Array.from({LIVE}.other.values)")
    np.testing.assert_allclose(shown, other.values[14, 20], atol=1e-3, rtol=1e-3)
    page.click("[data-view=difference]")
    page.wait_for_function(  # written after a moment
        "() => ['other=', 'view=difference'].every((part) => location.hash.includes(part))"
    )
    page.reload()
    page.wait_for_selector("[data-view=difference][aria-checked=true]")  # the link knows both


def test_a_bad_file_is_explained_and_one_can_go_on(page):
    page.set_input_files(
        "#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"GIF89a" * 9}
    )
    page.wait_for_selector("#toast.bad")
    assert "GIF" in page.inner_text("#toast")
    choose(page, "a_clean.png", png())


def test_a_header_and_its_data_come_together(page, rng, tmp_path):
    cube = rs.make_cube(rng.random((24, 32, 5)).astype(np.float32), [450, 500, 550, 600, 650])
    rs.save_cube(cube, tmp_path / "scene.hdr")
    files = sorted(tmp_path.iterdir(), reverse=True)
    assert len(files) == 2
    page.set_input_files("#file", files)
    page.wait_for_selector("body[data-stage=scene]")
    assert page.inner_text("#title") == "scene.hdr"
    np.testing.assert_allclose(live_spectrum(page, 9, 4), cube.values[4, 9], atol=1e-3)


def test_files_can_be_dropped(page, expected):
    page.evaluate(
        """async (bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "a_clean.png"));
          const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
          document.querySelector("#drop").dispatchEvent(drop);
        }""",
        list(png()),
    )
    page.wait_for_selector("body[data-stage=scene]")
    np.testing.assert_allclose(live_spectrum(page, 3, 5), expected[5, 3], atol=1e-3, rtol=1e-3)


def test_a_large_picture_shows_its_spectra_before_it_is_done(page, tmp_path):
    data = png(976, 1008)  # as many pixels as this server takes
    page.set_input_files("#file", {"name": "a_clean.png", "mimeType": "image/png", "buffer": data})
    page.wait_for_selector("body[data-stage=scene]")
    page.mouse.move(*screen(page, 500, 800, 1008, 976))
    page.wait_for_function(f"() => {LIVE}?.values.length === 31")
    settled(page)
    page.wait_for_function(
        "() => /^x \\d+, y \\d+ ·/.test(document.querySelector('#readout').textContent)"
    )
    x, y = map(int, re.findall(r"[xy] (\d+)", page.inner_text("#readout")))
    (tmp_path / "a.png").write_bytes(data)
    image = rs.open_image(tmp_path / "a.png")
    expected = rs.load(guarantees=["consistent"])(image).values[y, x]
    np.testing.assert_allclose(
        page.evaluate(f"Array.from({LIVE}.values)"), expected, atol=1e-3, rtol=1e-3
    )


def test_two_fingers_zoom_and_move(browser, server, photo_job):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{server.url}#job={photo_job['id']}")
    settled(page)
    box = stage_box(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    devtools = context.new_cdp_session(page)

    def touch(kind, *gap):
        points = [{"x": x + s * g, "y": y, "id": i} for g in gap for i, s in enumerate((-1, 1))]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 30)
    for gap in (40, 60, 90, 120):
        touch("touchMove", gap)
    touch("touchEnd")
    fitted = min((box["width"] - 16) / 32, (box["height"] - 16) / 24)
    page.wait_for_function(  # the address is written now and then, last when nothing moves
        """(scale) => {
          const at = new URLSearchParams(location.hash.slice(1)).get("at");
          return at && Math.abs(Number(at.split(",")[2]) / scale - 1) < 0.05;
        }""",
        arg=4 * fitted,
    )
    assert not page.locator("#pins li").count()
    context.close()


def test_markup_in_a_name_is_text(page):
    choose(page, "<img src=x onerror=document.body.dataset.hacked=1>_clean.png", png())
    assert "<img" in page.inner_text("#title")
    assert page.evaluate("document.body.dataset.hacked") is None


def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser, server, photo_job):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    for address in (server.url, f"{server.url}#job={photo_job['id']}"):
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    settled(page)
    page.touchscreen.tap(*screen(page, 10, 6))
    pins(page, 1)
    small = page.evaluate(
        "[...document.querySelectorAll('button')]"
        ".filter(b => b.offsetParent && b.offsetHeight < 34).length"
    )
    assert small == 0
    context.close()


def test_show_opens_with_its_cube(browser, rng):
    cube = rs.make_cube(rng.random((24, 32, 31)), np.arange(400, 701, 10))
    with rs.viewer.show(cube, open_browser=False) as view:
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.set_default_timeout(WAIT_MS)
        page.goto(view.url)
        np.testing.assert_allclose(live_spectrum(page, 9, 4), cube.values[4, 9], atol=1e-3)
        page.close()


def computed_again(page, act):
    """Wait for the job that an action starts, and for its scene."""
    before = settled(page)
    act()
    page.wait_for_function(f"(before) => {JOB} && {JOB} !== before", arg=before)
    return settled(page)


def facts(page, words):
    """Wait until the facts of a scene say something."""
    page.wait_for_function(
        "(words) => document.querySelector('#facts').innerText.includes(words)", arg=words
    )


def test_a_white_is_clicked_and_the_light_chosen(page, client):
    choose(page, "photo.png", png())
    page.click("#open-taken")
    page.click("#pick-white")
    page.locator("#ask").wait_for()
    job = computed_again(page, lambda: page.mouse.click(*screen(page, 10, 6)))
    asked = client.get(f"/api/jobs/{job}").json()["request"]
    assert asked["white"] == [7, 3, 7, 7]
    page.click("#open-taken")
    assert "7 × 7 pixels" in page.inner_text("#again-white option:checked")
    page.select_option("#again-light", "planck")
    page.fill("#again-kelvin", "3200")
    page.select_option("#again-quantity", "radiance")
    job = computed_again(page, lambda: page.click("#taken-go"))
    asked = client.get(f"/api/jobs/{job}").json()["request"]
    assert (asked["light"], asked["white"]) == ("planck:3200", [7, 3, 7, 7])
    facts(page, "planck:3200")
    facts(page, "radiance")


def test_a_known_spectrum_of_a_pin_moves_the_others(page, client):
    choose(page, "photo.png", png())
    page.mouse.click(*screen(page, 10, 6))
    page.mouse.click(*screen(page, 20, 14))
    pins(page, 2)
    job = settled(page)
    place = {"at": "6,10"}
    answer = client.get(f"/api/jobs/{job}/recovered/spectra", params=place).json()
    rows = zip(answer["wavelengths_nm"], answer["values"][0], strict=True)
    table = "nm,value\n" + "".join(f"{nm},{max(v, 0)}\n" for nm, v in rows)
    page.click("#pins li:nth-child(1) button >> nth=0")
    page.locator("#known[open]").wait_for()
    page.set_input_files(
        "#known-file", {"name": "spot.csv", "mimeType": "text/csv", "buffer": table.encode()}
    )
    job = computed_again(page, lambda: page.click("#known-go"))
    assert client.get(f"/api/jobs/{job}").json()["request"]["references"]
    facts(page, "1 reference:")
    pins(page, 2)
    assert page.inner_text("#pins li:nth-child(1) button >> nth=0") == "known"
    known = client.get(f"/api/jobs/{job}/recovered/spectra", params=place).json()["values"][0]
    np.testing.assert_allclose(known, answer["values"][0], atol=2e-3)

    page.wait_for_function("() => location.hash.includes('known')")
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    settled(page)
    pins(page, 2)
    words = "Known spectrum of pin 1: spot.csv"
    assert page.get_attribute("#pins li:nth-child(1) button >> nth=0", "aria-label") == words
    page.click("#pins li:nth-child(2) button >> nth=0")  # the first one's spectrum is there as well
    page.select_option("#known-patch", "18")
    job = computed_again(page, lambda: page.click("#known-go"))
    facts(page, "2 references")
    kept = client.get(f"/api/jobs/{job}/recovered/references").json()
    assert kept["places"] == [[6, 10, 1, 1], [14, 20, 1, 1]]
    np.testing.assert_allclose(kept["spectra"][0], np.maximum(answer["values"][0], 0), rtol=1e-6)

    page.click("#pins li:nth-child(2) button >> nth=0")
    page.locator("#known[open]").wait_for()
    job = computed_again(page, lambda: page.click("#known-forget"))
    facts(page, "1 reference:")
    page.click("#pins li:nth-child(1) button >> nth=0")
    page.locator("#known[open]").wait_for()
    job = computed_again(page, lambda: page.click("#known-forget"))
    assert client.get(f"/api/jobs/{job}").json()["request"]["references"] is None


def test_four_clicks_on_a_chart_calibrate_the_camera(page, client):
    data, corners = chart_picture(scale=40)
    choose(page, "chart.png", data)
    page.click("#open-taken")
    page.click("#click-chart")
    height, width = 4 * 40 + 16, 6 * 40 + 16
    for number, (x, y) in enumerate(corners, 1):
        page.wait_for_function(
            f"() => document.querySelector('#ask-words').textContent.includes('{number} of 4')"
        )
        page.mouse.click(*screen(page, x, y, width, height))
    page.locator("#calibrated[open]").wait_for()
    assert "left out is predicted" in page.inner_text("#calibrated-words")
    with page.expect_download() as waiting:
        page.click("#save-capture")
    assert rs.Capture.load(waiting.value.path()).is_photograph
    job = computed_again(page, lambda: page.click("#use-capture"))
    assert client.get(f"/api/jobs/{job}").json()["request"]["capture"]


def test_a_file_of_several_cubes_asks_which(page, rng):
    values = rng.random((24, 32, 31)).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, left=values, right=values * 0.5)
    page.set_input_files("#file", {"name": "both.npz", "mimeType": "", "buffer": buffer.getvalue()})
    page.locator("#which[open]").wait_for()
    page.click("#which-list button >> text=right")
    page.wait_for_selector("body[data-stage=scene]")
    np.testing.assert_allclose(live_spectrum(page, 9, 4), 0.5 * values[4, 9], atol=1e-3)


def test_somebody_without_a_picture_takes_the_example(page):
    page.click("#example")
    page.wait_for_selector("body[data-stage=scene]")
    page.locator("#ask").wait_for()
    assert "Point at the picture" in page.inner_text("#ask")
    settled(page)
    facts(page, "reflectance")
    box = stage_box(page)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    pins(page, 1)
    page.locator("#ask").wait_for(state="hidden")
