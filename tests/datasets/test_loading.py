"""Tensors carry the same numbers as patches, whoever loads them."""

import numpy as np
import pytest
import torch
from tests.datasets.memory import MemoryScenes

import respectra as rs
from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.loading import patch_batches, patch_loader
from respectra.datasets.patches import Patches, PatchOptions
from respectra.errors import ConfigError


@pytest.fixture
def patches(rng):
    cube = rs.make_cube(rng.uniform(0.05, 0.6, (40, 48, 31)), CHALLENGE_WAVELENGTHS_NM)
    source = MemoryScenes({"a": cube}, [get_track("clean")])
    return Patches(source, PatchOptions(size=16, per_scene=20, symmetries="all"), seed=1)


def test_tensors_are_channels_last_views(patches):
    batch = next(iter(patch_loader(patches, 4)))
    plain = patches.batch(0, range(4))
    assert batch.images.shape == (4, 3, 16, 16)
    assert batch.cubes.shape == (4, 31, 16, 16)
    assert batch.valid.shape == (4, 1, 16, 16)
    assert batch.cubes.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(batch.cubes.permute(0, 2, 3, 1), plain.cubes)
    np.testing.assert_array_equal(batch.images.permute(0, 2, 3, 1), plain.images)


def test_workers_change_nothing(patches):
    alone = list(patch_loader(patches, 5, epoch=3))
    shared = list(patch_loader(patches, 5, epoch=3, workers=2))
    assert len(alone) == len(shared) == 4
    for a, b in zip(alone, shared, strict=True):
        assert torch.equal(a.cubes, b.cubes)
        assert torch.equal(a.images, b.images)


def test_a_loader_goes_on_where_training_stopped(patches):
    whole = list(patch_loader(patches, 4, epoch=1))
    rest = list(patch_loader(patches, 4, epoch=1, start=3))
    assert len(rest) == len(whole) - 3
    assert all(torch.equal(a.cubes, b.cubes) for a, b in zip(whole[3:], rest, strict=True))


def test_processes_share_each_batch(patches):
    whole = next(iter(patch_loader(patches, 4)))
    halves = [next(iter(patch_loader(patches, 4, rank=r, processes=2))) for r in range(2)]
    assert torch.equal(torch.cat([half.cubes for half in halves]), whole.cubes)


@pytest.mark.parametrize(
    "values",
    [{"batch_size": 0}, {"batch_size": 3, "processes": 2}, {"batch_size": 21}, {"start": 9}],
)
def test_what_is_refused(values):
    with pytest.raises(ConfigError):
        patch_batches(20, **{"batch_size": 4, **values})
