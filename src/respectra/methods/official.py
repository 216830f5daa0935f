"""Checkpoints of the methods' own authors: read safely, checked key by key, described.

The files that people already have are PyTorch checkpoints without a word about what the network
was fed. The importer accepts a file only when its tensors are exactly those of the method it is
said to be, reads the configuration off their shapes, and writes down the missing contract.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respectra.cameras import get_track, list_tracks
from respectra.errors import ConfigError, FormatError, RespectraWarning
from respectra.methods.checkpoints import Checkpoint, read_checkpoint, some, unwrap
from respectra.methods.contract import Contract
from respectra.methods.matching import (
    Match,
    find_match,
    load_matched,
    matching_methods,
    what_differs,
)
from respectra.methods.registry import get_network, list_methods
from respectra.methods.weights import Weights

if TYPE_CHECKING:
    from torch import nn


#: How a file of HDF5 begins; Keras saves its weights so.
_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_official(
    name: str, state_dict: Mapping[str, Any], *, track: str | None = None
) -> nn.Module:
    """A network with the authors' weights, its configuration read off their shapes.

    Args:
        name: of the method, such as ``awan``.
        state_dict: tensors under the authors' keys, or under ours, as ``net.state_dict()`` of a
            network built here gives them; the nestings and prefixes that training scripts add are
            removed.
        track: only needed where weights of one track run differently and the checkpoint does not
            tell (``hrnet`` of the 2022 toolbox, track ``exposed``, pads with zeros and leaves its
            gates out).

    Raises:
        ConfigError: unknown method or track, or its authors' layout is not known.
        FormatError: keys are missing, unknown or of another shape; names them, and the method
            that they fit, if there is one.

    Example:
        >>> import respectra as rs
        >>> net = rs.build_network("mst-plus-plus", preset="tiny")
        >>> again = load_official("mst-plus-plus", net.state_dict())
        >>> type(again).__name__
        'Cascade'
    """
    checkpoint = unwrap(state_dict)
    match, _ = _match(name, checkpoint, track)
    return load_matched(name, match, checkpoint.tensors)


def recognise_checkpoint(state_dict: Mapping[str, Any]) -> list[str]:
    """Names of the networks that have exactly these tensors, by name and shape; often one.

    Args:
        state_dict: as for :func:`load_official`.

    Raises:
        FormatError: there are no tensors in it.

    Example:
        >>> import respectra as rs
        >>> recognise_checkpoint(rs.build_network("awan", preset="tiny").state_dict())
        ['awan']
    """
    return matching_methods(unwrap(state_dict).tensors)


def import_official(
    name: str | None, path: str | os.PathLike[str], *, track: str | None = None
) -> Weights:
    """Weights from a file of the method's authors, with the contract that it lacks.

    Nothing in the file is executed. Save the result with ``save_weights``.

    Args:
        name: of the method, such as ``awan``; None for the one that the tensors are those of.
        path: the authors' file; ``.pth`` and the like, or safetensors with the authors' keys. Our
            own keys are taken too: they are those of a network built here and trained elsewhere.
        track: what the weights were trained on; may be left out where only one is known, or the
            checkpoint tells.

    Raises:
        ConfigError: unknown method, a track is needed or not one of the known ones, or the tensors
            fit several methods.
        FormatError: the file cannot be read safely, or its tensors are not those of the method.

    Warns:
        RespectraWarning: the weights stretch every image to its own range, so that exposure is
            lost.

    Example:
        >>> import respectra as rs
        >>> import torch
        >>> torch.save(rs.build_network("awan", preset="tiny").state_dict(), "theirs.pth")
        >>> import_official("awan", "theirs.pth", track="clean").method
        'awan'
    """
    file = Path(path)
    if not file.is_file():
        raise FormatError(f"there is no checkpoint {file}")
    checkpoint = unwrap(_read(file, name))
    if name is None:
        name = _recognise(file, checkpoint)
    match, track = _match(name, checkpoint, track)
    if track is None:
        raise ConfigError(
            f"a checkpoint does not say on which track it was trained, and for {name} it "
            f"could be {_listed(_tracks(name, match))}; name it with --track (track=)"
        )
    net, config = load_matched(name, match, checkpoint.tensors), match.config
    official = get_network(name).official
    known = official.contract.get(track, {}) if official else {}
    fields: dict[str, Any] = {"track": track, **known}
    contract = Contract(**fields)
    if config.bands != contract.bands:
        raise FormatError(
            f"{file} gives {config.bands} bands, and weights of {name} for the track {track} "
            f"give {contract.bands}; nothing says at which wavelengths these are"
        )
    if not match.own:
        _tell_camera(net, contract)
    if not contract.keeps_exposure:
        warnings.warn(
            f"these weights of {name} stretch every image by its own range ({contract.scaling}), "
            "as their authors did: the exposure of an image is lost, and a darker picture of a "
            "scene gives the same cube",
            RespectraWarning,
            stacklevel=2,
        )
    return Weights(
        method=name,
        config=config,
        contract=contract,
        tensors={key: value.numpy() for key, value in net.state_dict().items()},
        provenance={
            **_origin(name, match),
            "file": file.name,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        },
    )


def _tell_camera(network: nn.Module, contract: Contract) -> None:
    """Give a network that is told its camera that of the track."""
    import torch

    from respectra.methods.network import CameraAware

    if isinstance(network, CameraAware):
        camera = get_track(contract.track).response_matrix(contract.wavelengths_nm)
        network.set_camera(torch.from_numpy(camera))


def _origin(name: str, match: Match) -> dict[str, str]:
    official = get_network(name).official
    if match.own or official is None:
        return {"origin": "state dict of this network, without a contract"}
    return {"origin": "checkpoint of the method's authors' layout", "source": official.source}


def _known() -> list[str]:
    return [name for name in list_methods("network") if get_network(name).official is not None]


def _read(file: Path, name: str | None) -> Mapping[str, Any]:
    """The content of a file; HDF5 files are read as those of the method, or of the one they fit."""
    with file.open("rb") as opened:
        hdf5 = opened.read(len(_HDF5)) == _HDF5
    names = _known() if name is None else [name]
    readers = [o.read for n in names if (o := get_network(n).official) is not None and o.read]
    if name is not None and readers:
        return readers[0](file)
    for read in readers if hdf5 else ():
        with contextlib.suppress(FormatError):
            return read(file)
    return read_checkpoint(file)


def _recognise(file: Path, checkpoint: Checkpoint) -> str:
    """The one method whose tensors a file holds."""
    fits = matching_methods(checkpoint.tensors)
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise ConfigError(
            f"the tensors of {file} are those of {_listed(fits)}; say which: "
            "respectra import-weights METHOD FILE"
        )
    raise FormatError(
        f"the {len(checkpoint.tensors)} tensors of {file} ({some(list(checkpoint.tensors))}) are "
        f"those of no method that is known; the authors' names are known of {', '.join(_known())}"
    )


def _match(name: str, checkpoint: Checkpoint, track: str | None) -> tuple[Match, str | None]:
    """The network that the tensors are of, and their track: the one given, or what they tell.

    Raises:
        ConfigError: no layout is known, or no weights for the track.
        FormatError: they are not those of the method.
    """
    method, tensors = get_network(name), checkpoint.tensors
    match, official = find_match(method, tensors, {}), method.official
    if match is None and official is None:
        raise ConfigError(
            f"no layout of checkpoints of {name} is known; it is for {', '.join(_known())}"
        )
    if match is None:
        fits = matching_methods(tensors)
        hint = f"; these are weights of {_listed(fits)}" if fits else ""
        raise FormatError(f"this is no checkpoint of {name}: {what_differs(method, tensors)}{hint}")
    tracks = _tracks(name, match)
    if track is not None and track not in tracks:
        raise ConfigError(
            f"weights of {name} are known for the track {_listed(tracks)}; got {track!r}"
        )
    if track is None and len(tracks) == 1:
        track = tracks[0]
    elif track is None and official is not None and official.tell_track is not None:
        with contextlib.suppress(KeyError, ValueError, IndexError):  # its tensors have our names
            track = official.tell_track(tensors, checkpoint.beside)
    if match.own or official is None:
        return match, track
    # Some options only the track tells.
    options = official.options.get(track or "")
    return (options and find_match(method, tensors, options)) or match, track


def _tracks(name: str, match: Match) -> list[str]:
    """Tracks that weights may be for: those of the authors', any for networks of one's own."""
    official = get_network(name).official
    return list_tracks() if match.own or official is None else list(official.contract)


def _listed(names: Iterable[str]) -> str:
    return " or ".join(map(repr, names))
