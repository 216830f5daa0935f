"""What a client may say of how its picture was taken: as on the command line, to the bit."""

import asyncio
import json

import cv2
import httpx
import numpy as np
import pytest
from tests.viewer.conftest import npz, png

import respectra as rs
from respectra.cameras.calibration import open_chart
from respectra.cameras.response_prior import GRID_NM
from respectra.cli import reconstruct  # noqa: F401 - registers it
from respectra.cli.app import run
from respectra.viewer.app import create_app
from respectra.viewer.settings import Settings

#: Corners of squares of one colour.
PLACES = [(0, 0), (4, 8), (12, 16), (20, 28), (16, 4)]


@pytest.fixture
def files(client, tmp_path):
    """Uploads by what they are, and the same files for the command line."""
    capture = rs.Capture(camera="ampas-nikon-d700", light="A", white=(0.9, 1.0, 0.7))
    capture.save(tmp_path / "capture.json")
    camera = rs.cameras.native_response("ampas-nikon-d700")
    rows = ["wavelength,R,G,B"]
    rows += [
        f"{nm:g}," + ",".join(f"{v:.6f}" for v in row)
        for nm, row in zip(camera["wavelength"].values, camera.values, strict=True)
    ]
    (tmp_path / "camera.csv").write_text("\n".join(rows) + "\n")
    light = "".join(f"{nm},{1 + (nm - 400) / 300}\n" for nm in range(380, 781, 5))
    (tmp_path / "light.csv").write_text("wavelength,power\n" + light)
    (tmp_path / "photo.png").write_bytes(png())
    # Another method's answer has the picture's colours, and other spectra.
    image = rs.open_image(tmp_path / "photo.png")
    other = rs.load("wiener", guarantees=["consistent", "non-negative"])(image, capture=capture)
    spectra = [other.values[y, x] for y, x in PLACES]
    places = [(y, x, 4, 4) for y, x in PLACES]
    rs.References(places, spectra, other["wavelength"]).to_csv(tmp_path / "references.csv")
    return tmp_path


def export(client, state) -> bytes:
    assert state["state"] == "done", state
    answer = client.post(f"/api/jobs/{state['id']}/exports", json={"format": "npz"})
    done = client.wait(answer.json()["id"])
    assert done["state"] == "done", done
    return client.get(f"/api/jobs/{done['id']}/file").content


def on_the_command_line(folder, *options):
    command = ["reconstruct", str(folder / "photo.png"), "-o", str(folder / "cube.npz"), *options]
    assert run(command) == 0
    return rs.open_cube(folder / "cube.npz")


@pytest.mark.parametrize(
    ("request_", "options"),
    [
        ({}, []),
        ({"quantity": "radiance"}, ["--quantity", "radiance"]),
        ({"light": "planck:3200"}, ["--light", "planck:3200"]),
        (
            {"camera": "ampas-nikon-d700", "light": "A", "white": [4, 4, 4, 4]},
            ["--camera", "ampas-nikon-d700", "--light", "A", "--white", "4,4,4,4"],
        ),
        (
            {"camera_file": "camera.csv", "light_file": "light.csv", "quantity": "radiance"},
            ["--camera", "camera.csv", "--light", "light.csv", "--quantity", "radiance"],
        ),
        (
            {"capture": "capture.json", "references": "references.csv"},
            ["--capture", "capture.json", "--references", "references.csv"],
        ),
        ({"method": "wiener", "light": "D50"}, ["--method", "wiener", "--light", "D50"]),
    ],
)
def test_cubes_are_those_of_the_command_line(client, files, tmp_path, request_, options):
    names = ("camera_file", "light_file", "capture", "references")
    uploads = {
        key: client.upload((files / value).read_bytes(), value)
        for key, value in request_.items()
        if key in names
    }
    state = client.done(png(), guarantees=[], **{**request_, **uploads})
    (tmp_path / "out.npz").write_bytes(export(client, state))
    options = [str(files / o) if (files / o).is_file() else o for o in options]
    expected = on_the_command_line(files, *options)
    cube = rs.open_cube(tmp_path / "out.npz")
    np.testing.assert_array_equal(cube.values, expected.values)
    assert cube.attrs["quantity"] == expected.attrs["quantity"]
    assert cube.attrs.get("assumed") == expected.attrs.get("assumed")
    base = f"/api/jobs/{state['id']}/recovered"
    shown = client.get(f"{base}/spectra", params={"at": "0,0;23,31"}).json()["values"]
    near = 2e-3 * float(expected.max())
    np.testing.assert_allclose(shown, expected.values[[0, 23], [0, 31]], atol=near)
    info = client.get(base).json()
    assert info["quantity"] == expected.attrs["quantity"]
    assert info["facts"]["quantity"].startswith(info["quantity"])
    assert ("light" in info["facts"]) == ("light" in expected.attrs)
    places = client.get(f"{base}/references").json()["places"]
    assert places == [[y, x, 4, 4] for y, x in PLACES if "references" in request_]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"camera": "/etc/passwd"}, "no such camera"),
        ({"camera": "camera.csv"}, "no such camera"),
        ({"light": "../light.csv"}, "no such light"),
        ({"light": "planck:1;x"}, "no such light"),
        ({"references": "0" * 32}, "no such upload"),
        ({"capture": "/etc/passwd"}, "no such upload"),
        ({"white": [1.0]}, "white"),
    ],
)
def test_only_names_and_uploads_pass(client, request_, words):
    answer = client.post("/api/jobs", json={"upload": client.upload(png()), **request_})
    assert answer.status_code in (404, 422)
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "named", [{"camera": "ampas-nikon-d700"}, {"light": "A"}, {"guarantees": ["consistent"]}]
)
def test_names_wait_for_the_worker_to_say_which_there_are(tmp_path, named):
    app = create_app(Settings(folder=tmp_path / "store"))  # nobody has started its worker
    jobs = app.state.service.jobs

    async def ask() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer = asyncio.create_task(client.post("/api/jobs", json=named))
            done, _ = await asyncio.wait([answer], timeout=0.2)
            assert not done
            jobs.offer = {
                "cameras": ["ampas-nikon-d700"],
                "scene_lights": ["A"],
                "guarantees": [{"name": "consistent"}],
            }
            jobs.ready.set()
            return (await answer).status_code

    assert asyncio.run(ask()) == 202


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"white": [30, 20, 40, 40]}, "white"),
        ({"light": "planck:1"}, "500 to 100000 K"),
        ({"input": "camera"}, "known which one"),
    ],
)
def test_what_cannot_be_is_said_in_the_words_of_the_command_line(client, request_, words):
    state = client.done(png(), **request_)
    assert state["state"] == "failed"
    assert words in state["error"]
    assert "/" not in state["error"]


def test_what_the_command_line_warns_of_is_a_fact_of_the_scene(client):
    """Of a photograph, whose camera is assumed, a reference may contradict the picture."""
    bands = ",".join(str(nm) for nm in range(400, 701, 10))
    table = f"y,x,height,width,{bands}\n4,8,4,4,{','.join(['0.02'] * 16 + ['0.9'] * 15)}\n"
    state = client.done(png(), references=client.upload(table.encode(), "spots.csv"))
    assert state["state"] == "done", state
    facts = client.get(f"/api/jobs/{state['id']}/recovered").json()["facts"]
    assert "references contradict the picture" in facts["warning"]
    assert "/" not in facts["warning"]
    assert facts["references"].startswith("1 reference:")
    camera = rs.cameras.native_response("ampas-nikon-d700")
    rows = zip(camera["wavelength"].values / 1000, camera.values, strict=True)
    table = "\n".join(f"{um:g}," + ",".join(map(str, row)) for um, row in rows)
    upload = client.upload(f"wavelength,R,G,B\n{table}\n".encode(), "um.csv")
    state = client.done(png(), camera_file=upload)
    said = client.get(f"/api/jobs/{state['id']}/recovered").json()["facts"]["warning"]
    assert said.startswith("um.csv: its band axis states no unit")
    state = client.done(png())
    assert "warning" not in client.get(f"/api/jobs/{state['id']}/recovered").json()["facts"]


def test_a_capture_file_names_no_file_of_this_machine(client, tmp_path):
    record = rs.Capture(camera="srgb", light="D50").to_json()
    for changes in ({"camera": "/etc/passwd.csv"}, {"light": "/etc/passwd.csv"}):
        capture = client.upload(json.dumps({**record, **changes}).encode(), "capture.json")
        state = client.done(png(), capture=capture)
        assert state["state"] == "failed"
        assert "root:" not in state["error"]


def test_the_camera_sees_its_own_codes_again(client):
    for request_ in ({"input": "srgb"}, {"camera": "ampas-nikon-d700", "light": "A"}):
        state = client.done(png(), guarantees=["consistent"], **request_)
        info = client.get(f"/api/jobs/{state['id']}/recovered").json()
        assert info["differing_pixels"] == 0


def test_the_job_says_what_was_asked_so_that_it_can_be_asked_again(client):
    state = client.done(png(), light="D50", quantity="reflectance")
    again = client.wait(client.submit(**state["request"])["id"])
    assert again["state"] == "done"
    assert again["request"] == state["request"]


def test_a_file_of_several_cubes_asks_which(client, rng, tmp_path):
    import io

    cube = rng.random((6, 5, 31)).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, left=cube, right=cube * 0.5)
    upload = client.upload(buffer.getvalue(), "both.npz")
    state = client.wait(client.submit(upload=upload)["id"])
    assert state["state"] == "failed"
    assert state["choices"] == ["left", "right"]
    state = client.wait(client.submit(upload=upload, key="right", quantity="reflectance")["id"])
    base = f"/api/jobs/{state['id']}/recovered"
    assert client.get(base).json()["quantity"] == "reflectance"
    shown = client.get(f"{base}/spectra", params={"at": "2,3"}).json()["values"][0]
    np.testing.assert_allclose(shown, 0.5 * cube[2, 3], atol=1e-3)


def chart_picture(scale=24):
    """A photograph of a chart under D50, as an sRGB camera sees it, with a border."""
    chart = open_chart("classic24")
    capture = rs.Capture.photograph()
    seen = chart.spectra @ capture.effective_response(GRID_NM)
    codes = np.rint(rs.colour.encode_srgb(np.clip(seen, 0, 1)) * 255).reshape(4, 6, 3)
    patches = np.kron(codes, np.ones((scale, scale, 1))).astype(np.uint8)
    picture = np.pad(patches, ((8, 8), (8, 8), (0, 0)), constant_values=25)
    half, width, height = 8 + scale / 2, 8 + 5.5 * scale, 8 + 3.5 * scale
    corners = [[half, half], [width, half], [width, height], [half, height]]
    return cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes(), corners


def test_four_corners_of_a_chart_become_a_capture(client, tmp_path):
    data, corners = chart_picture()
    upload = client.upload(data, "chart.png")
    answer = client.post("/api/calibrations", json={"upload": upload, "corners": corners})
    assert answer.status_code == 202, answer.text
    state = client.wait(answer.json()["id"])
    assert state["state"] == "done", state
    found = client.get(f"/api/jobs/{state['id']}/calibration").json()
    assert found["way"] == min(found["scores"], key=found["scores"].get)
    assert len(found["places"]) == 24
    (tmp_path / "chart.png").write_bytes(data)
    image = rs.open_image(tmp_path / "chart.png", encoding="srgb", tone="none")
    expected = rs.cameras.calibration.calibrate([image], corners=corners)
    expected.capture.save(tmp_path / "expected.json")
    assert found["capture"] == json.loads((tmp_path / "expected.json").read_text())
    capture = client.get(f"/api/jobs/{state['id']}/file").content
    state = client.done(data, "chart.png", capture=client.upload(capture, "capture.json"))
    assert state["state"] == "done", state


def test_a_calibration_says_what_is_wrong(client, rng):
    upload = client.upload(png(80, 120), "photo.png")
    state = client.wait(client.post("/api/calibrations", json={"upload": upload}).json()["id"])
    assert state["state"] == "failed"
    assert "no colour chart" in state["error"]
    cube = rs.make_cube(rng.random((4, 4, 31)), range(400, 701, 10))
    upload = client.upload(npz(cube), "scene.npz")
    state = client.wait(client.post("/api/calibrations", json={"upload": upload}).json()["id"])
    assert "this is a cube" in state["error"]


def test_the_patches_of_a_chart_are_known(client):
    chart = client.get("/api/charts/classic24").json()
    known = open_chart("classic24")
    np.testing.assert_allclose(chart["spectra"], known.spectra, atol=1e-6)
    assert (chart["rows"], chart["columns"]) == (4, 6)
    assert client.get("/api/charts/sg140").status_code == 422
