"""A classical method by name: fitted once, and the same on every machine."""

from pathlib import Path

import numpy as np
import pytest

import respectra as rs
from respectra.errors import ConfigError
from respectra.methods import fitting
from respectra.methods.fitting import fitted_once
from respectra.methods.weights import weights_hash


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESPECTRA_CACHE", str(tmp_path))
    return tmp_path / "fitted"


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the methods that were fitted, in the order of their fitting."""
    done: list[str] = []
    fit = fitting.fit_on_measured_spectra

    def counted(name: str, *, track: str = "clean"):
        done.append(f"{name} {track}")
        return fit(name, track=track)

    monkeypatch.setattr(fitting, "fit_on_measured_spectra", counted)
    return done


def test_a_method_is_fitted_once_a_track(cache: Path, fits: list[str]) -> None:
    image = rs.make_image(np.random.default_rng(0).random((2, 3, 3)))
    first = rs.load("pseudo-inverse")
    again = rs.load("pseudo-inverse")
    assert fits == ["pseudo-inverse clean"]
    np.testing.assert_array_equal(first(image).values, again(image).values)
    assert first.signature() == again.signature()
    rs.load("pseudo-inverse", track="real-world")
    assert fits == ["pseudo-inverse clean", "pseudo-inverse real-world"]
    assert len(list(cache.glob("*.safetensors"))) == 2


def test_other_code_fits_anew(cache: Path, fits: list[str], monkeypatch) -> None:
    before = fitted_once("pseudo-inverse")
    monkeypatch.setattr(fitting, "content_hash", lambda file: "changed")
    after = fitted_once("pseudo-inverse")
    assert len(fits) == 2
    assert weights_hash(before) == weights_hash(after)


def test_a_damaged_file_is_made_anew(cache: Path, fits: list[str]) -> None:
    fitted_once("pseudo-inverse")
    (file,) = cache.glob("*.safetensors")
    file.write_bytes(b"nothing")
    fitted_once("pseudo-inverse")
    fitted_once("pseudo-inverse")
    assert len(fits) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, fits: list[str], monkeypatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RESPECTRA_CACHE", str(tmp_path / "file"))
    fitted_once("pseudo-inverse")
    fitted_once("pseudo-inverse")
    assert len(fits) == 2


@pytest.mark.parametrize(("name", "match"), [("mst", "network"), ("pinv", "pinv")])
def test_what_cannot_be_fitted_is_refused(name: str, match: str, cache: Path) -> None:
    with pytest.raises(ConfigError, match=match):
        fitted_once(name)
    assert not cache.exists()
