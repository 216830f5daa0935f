"""The service, as its clients meet it."""

import io
import json
import shutil
import time
import zipfile

import numpy as np
import pytest
from tests.viewer.conftest import BYTES, npz, png

import respectra as rs
from respectra.viewer.jobs import ServiceJob


def cube_of(rng, height=12, width=10):
    return rs.make_cube(rng.random((height, width, 31)).astype(np.float32), np.arange(400, 701, 10))


def expected_cube(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(png())
    return rs.load()(rs.open_image(path))


def test_spectra_are_those_of_the_python_api(client, photo_job, tmp_path):
    cube = expected_cube(tmp_path)
    base = f"/api/jobs/{photo_job['id']}/recovered"
    answer = client.get(f"{base}/spectra", params={"at": "0,0;23,31;7,19"}).json()
    shown = np.array(answer["values"])
    np.testing.assert_allclose(shown, cube.values[[0, 23, 7], [0, 31, 19]], atol=1e-3)
    assert answer["wavelengths_nm"] == list(range(400, 701, 10))


def test_coefficients_times_basis_are_the_spectra(client, photo_job, tmp_path):
    base = f"/api/jobs/{photo_job['id']}/recovered"
    info = client.get(base).json()
    tile = np.frombuffer(client.get(f"{base}/tiles/coefficients/0/0/0").content, "<f2")
    tile = tile.reshape(info["rank"], info["height"], info["width"]).astype(float)
    spectra = np.einsum("kyx,kb->yxb", tile, np.array(info["basis"]))
    cube = expected_cube(tmp_path).values
    np.testing.assert_allclose(spectra, cube, atol=1e-3 * cube.max())


def test_a_rectangle_has_the_mean_and_spread_of_its_pixels(client, photo_job, tmp_path):
    part = expected_cube(tmp_path).values[2:10, 5:20].reshape(-1, 31)
    query = {"y": 2, "x": 5, "height": 8, "width": 15}
    region = client.get(f"/api/jobs/{photo_job['id']}/recovered/region", params=query).json()
    assert region["pixels"] == 120
    np.testing.assert_allclose(region["mean"], part.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(region["standard_deviation"], part.std(axis=0), atol=1e-3)


def test_progress_comes_as_events_and_ends_with_the_job(client):
    job = client.submit(upload=client.upload(png(seed=8)))["id"]
    with client.stream("GET", f"/api/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in stream.iter_lines() if line.startswith("data: ")]
    states = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert states[-1]["state"] == "done"
    shares = [state["share"] for state in states]
    assert shares == sorted(shares)


def test_a_cube_is_shown_as_it_is_with_its_truth(client, rng):
    cube = cube_of(rng)
    truth = client.upload(npz(cube * 0.5), "truth.npz")
    state = client.done(npz(cube), "scene.npz", truth=truth)
    assert state["scenes"] == ["recovered", "truth"]
    for scene, factor in (("recovered", 1.0), ("truth", 0.5)):
        answer = client.get(f"/api/jobs/{state['id']}/{scene}/spectra", params={"at": "3,4"})
        np.testing.assert_allclose(
            answer.json()["values"][0], factor * cube.values[3, 4], atol=2e-3
        )


def test_a_truth_of_another_size_is_refused_in_words(client, rng):
    truth = client.upload(npz(cube_of(rng, 5, 5)), "truth.npz")
    state = client.done(npz(cube_of(rng)), "scene.npz", truth=truth)
    assert state["state"] == "failed"
    assert "same pixels" in state["error"]


def test_a_zarr_store_comes_as_a_folder_of_files(client, rng, tmp_path):
    cube = cube_of(rng)
    rs.save_cube(cube, tmp_path / "scene.zarr")
    files = sorted(p for p in (tmp_path / "scene.zarr").rglob("*") if p.is_file())
    names = [p.relative_to(tmp_path).as_posix() for p in files]
    upload = client.upload(files[0].read_bytes(), names[0])
    for name, file in zip(names[1:], files[1:], strict=True):
        query = {"name": name}
        content = file.read_bytes()
        answer = client.put(f"/api/uploads/{upload}", params=query, content=content, headers=BYTES)
        assert answer.status_code == 200, answer.text
    assert client.wait(client.submit(upload=upload)["id"])["state"] == "done"


@pytest.mark.parametrize("name", ["netcdf", "zarr", "envi"])
def test_an_export_is_the_exact_cube(client, photo_job, tmp_path, name):
    answer = client.post(f"/api/jobs/{photo_job['id']}/exports", json={"format": name})
    export = client.wait(answer.json()["id"])
    assert export["state"] == "done", export
    answer = client.get(f"/api/jobs/{export['id']}/file")
    assert answer.headers["content-disposition"].startswith('attachment; filename="photo')
    if name == "netcdf":
        path = tmp_path / "cube.nc"
        path.write_bytes(answer.content)
    else:
        zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path / "out")
        path = tmp_path / "out" / {"zarr": "cube.zarr", "envi": "cube.hdr"}[name]
    np.testing.assert_array_equal(rs.open_cube(path).values, expected_cube(tmp_path).values)


def test_pictures_of_scenes_and_bands(client, photo_job):
    base = f"/api/jobs/{photo_job['id']}/recovered"
    for path in ("preview.png", "bands/10.png"):
        answer = client.get(f"{base}/{path}")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")
    assert client.get(f"{base}/bands/31.png").status_code == 404
    table = client.get(f"{base}/spectra.csv", params={"at": "1,2"}).text.splitlines()
    assert table[0] == "wavelength_nm,y1 x2"
    assert len(table) == 32


def test_the_picture_is_given_back_where_that_is_guaranteed(client):
    state = client.done(png(), input="clean", guarantees=["consistent"])
    info = client.get(f"/api/jobs/{state['id']}/recovered").json()
    assert info["differing_pixels"] == 0
    base = f"/api/jobs/{state['id']}/recovered/tiles"
    assert not any(client.get(f"{base}/difference/0/0/0").content)
    given = client.get(f"{base}/picture/0/0/0").content
    assert client.get(f"{base}/rerendered/0/0/0").content == given


def test_a_large_picture_can_be_looked_at_before_it_is_done(client, tmp_path):
    data = png(960, 1000)
    job = client.submit(upload=client.upload(data), input="clean")["id"]
    while not (state := client.get(f"/api/jobs/{job}").json())["viewable"]:
        assert state["state"] in ("queued", "running"), state
    assert client.put(f"/api/jobs/{job}/focus", json={"y": 900, "x": 20}).status_code == 204
    base = f"/api/jobs/{job}/recovered"
    info = client.get(base).json()
    early = client.get(f"{base}/spectra", params={"at": "900,20"}).json()["values"]
    assert client.wait(job)["state"] == "done"
    late = client.get(f"{base}/spectra", params={"at": "900,20"}).json()["values"]
    np.testing.assert_allclose(early, late, atol=1e-3)  # colours fill squares of 4 x 4 here
    assert client.get(base).json()["finest"] == 0
    assert info["levels"][0] == [960, 1000]
    (tmp_path / "large.png").write_bytes(data)
    expected = rs.load()(rs.open_image(tmp_path / "large.png")).values[900, 20:21]
    np.testing.assert_allclose(late, expected, atol=1e-3)


@pytest.mark.parametrize("gone", ["the folder", "a file of it"])
def test_a_scene_is_found_while_its_folder_moves(
    client, service, photo_job, tmp_path, monkeypatch, gone
):
    entry = service.jobs.entries[photo_job["id"]]
    place = service.jobs.scene_folder(entry)
    before = tmp_path / "before"
    if gone == "a file of it":
        (before / "recovered").mkdir(parents=True)
        shutil.copy(place / "recovered" / "scene.json", before / "recovered")
    folders = iter([before, place])
    monkeypatch.setattr(service.jobs, "scene_folder", lambda entry: next(folders, place))
    tile = f"/api/jobs/{photo_job['id']}/recovered/tiles/coefficients/0/0/0"
    assert client.get(tile).status_code == 200


def test_a_job_can_be_cancelled_while_it_waits(client, service, held):
    upload = client.upload(png())
    jobs = [client.submit(upload=upload)["id"] for _ in range(3)]
    client.delete(f"/api/jobs/{jobs[1]}")
    assert client.wait(jobs[1])["state"] == "cancelled"
    held.set()
    assert [client.wait(job)["state"] for job in (jobs[0], jobs[2])] == ["done", "done"]
    assert not service.store.job_folder(jobs[1]).exists()


def test_a_full_queue_answers_429_and_says_when_to_come_back(client, service, held):
    upload = client.upload(png())
    room = service.settings.limits.queue + 1  # one may be taken up
    answers = [client.post("/api/jobs", json={"upload": upload}) for _ in range(room + 1)]
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"]
    assert [answer.status_code for answer in answers[: room - 1]] == [202] * (room - 1)


def test_results_expire_and_leave_nothing(client, service, photo_job):
    state = client.done(png(seed=5))
    entry: ServiceJob = service.jobs.entries[state["id"]]
    entry.touched = time.monotonic() - 10 * service.settings.limits.expire_s
    client.upload(png())  # who brings something has it tidied up first
    assert client.get(f"/api/jobs/{state['id']}").status_code == 404
    assert not service.store.job_folder(state["id"]).exists()
    assert client.get(f"/api/jobs/{photo_job['id']}").status_code == 200


def test_the_openapi_document_describes_the_service(client):
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/options", "/api/uploads", "/api/jobs", "/api/jobs/{job}/events"} <= set(paths)
