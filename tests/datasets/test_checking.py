"""A collection's faults are found and named."""

import cv2
import numpy as np

import respectra as rs
from respectra.cameras import get_track, simulate
from respectra.datasets.checking import check_collection
from respectra.datasets.collections import open_collection
from respectra.datasets.still_life import still_life


def codes_of(report):
    return {scene.name: {finding.code for finding in scene.findings} for scene in report.scenes}


def test_a_good_collection(arad):
    report = check_collection(open_collection(arad[0]), [get_track("clean")])
    found = codes_of(report)
    assert report.ok
    assert found.pop("ARAD_HS_0340") == {"known-bad"}
    assert not any(found.values())
    assert report.to_dict()["scenes"][0]["shape"] == [24, 32, 31]


def test_images_that_do_not_fit(arad):
    root, _ = arad
    clean = root / "rgb"
    one = cv2.imread(str(clean / "ARAD_HS_0001_clean.png"))
    cv2.imwrite(str(clean / "ARAD_HS_0002_clean.png"), one)
    cv2.imwrite(str(clean / "ARAD_HS_0451_clean.png"), one.transpose(1, 0, 2))
    (clean / "ARAD_HS_0453_clean.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cv2.imwrite(str(clean / "ARAD_HS_0466_RealWorld.jpg"), np.ascontiguousarray(one[::-1]))
    tracks = [get_track("clean"), get_track("real-world")]
    report = check_collection(open_collection(root), tracks)
    found = codes_of(report)
    assert not report.ok
    assert found["ARAD_HS_0002"] == {"not-of-this-track"}
    assert found["ARAD_HS_0451"] == {"image-size"}
    assert found["ARAD_HS_0453"] == {"unreadable-image"}
    assert found["ARAD_HS_0466"] == {"not-of-this-cube"}
    sizes = next(s for s in report.scenes if s.name == "ARAD_HS_0451").findings[0]
    assert "rows and columns are exchanged" in sizes.message


def test_noisy_images_of_the_cube_are_accepted(scenes):
    cube = still_life(32, 40)
    rs.save_cube(cube, scenes / "life.npz")
    simulate(get_track("real-world", seed=9), cube, scenes, "life")
    report = check_collection(open_collection(scenes), [get_track("real-world")])
    assert "not-of-this-cube" not in codes_of(report)["life"]


def test_cubes_are_compared_with_one_another(scenes):
    cube = rs.open_cube(scenes / "scene0.npz")
    rs.save_cube(cube, scenes / "twin.npz")
    rs.save_cube(cube.isel(wavelength=slice(2, None)), scenes / "fewer.npz")
    (scenes / "broken.npz").write_bytes(b"PK\x03\x04")
    found = codes_of(check_collection(open_collection(scenes)))
    assert "duplicate" in found["twin"]
    assert "bands-differ" in found["fewer"]
    assert found["broken"] == {"unreadable"}
    assert "dead-pixels" in found["scene1"]
