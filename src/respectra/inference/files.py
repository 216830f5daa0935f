"""From pictures and clips on disk to cubes on disk: what ``respectra reconstruct`` does."""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from respectra.cameras import (
    Capture,
    InputKind,
    PictureOptions,
    References,
    described_capture,
    input_kind_of,
    open_picture,
    options_for,
    track_of_kind,
)
from respectra.cameras.colour import INPUT_KINDS
from respectra.cubes import Quantity
from respectra.cubes.formats import FORMATS
from respectra.cubes.parts import cube_hash
from respectra.datasets.scenes import AS_THE_FILES_SAY, Opening
from respectra.errors import ConfigError, OutputError, unknown_name
from respectra.identity import content_hash
from respectra.inference.ensembles import ModelEnsemble, Recovers, mapped
from respectra.inference.folders import Job, Outcome
from respectra.inference.growing import growing_folder
from respectra.inference.loading import DEFAULT, load
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.remote import Mirror, RemoteWork, find_places, mirrored
from respectra.inference.video_reader import CLIP_SUFFIXES
from respectra.inference.writing import Writing, outputs, work
from respectra.progress import Progress, as_progress
from respectra.urls import Place, parse_place

if TYPE_CHECKING:
    from respectra.cluster import Cluster

PathLike = str | os.PathLike[str]
#: What can recover pictures, or be loaded to.
Method = PathLike | Sequence[PathLike] | Recovers | Callable[[str], Recovers]
#: Reconstructors for other cameras, whites or colour spaces that are kept ready.
_KEPT_READY = 8


@dataclass(frozen=True)
class KnownFacts:
    """What is known of how pictures were taken and of what they show.

    Raises:
        ConfigError: spectra from more than one source.

    Example:
        >>> import respectra as rs
        >>> bool(rs.inference.KnownFacts(rs.Capture(light="A")))
        True
    """

    capture: Capture | None = None
    quantity: Quantity | None = None
    references: References | None = None
    """Known spectra of the (first) picture."""
    references_from: Path | None = None
    """A cube of the same place, whose spectra serve as references."""
    materials: Path | None = None
    """Spectra of what is in the scene, as a prior."""
    references_opening: Opening = AS_THE_FILES_SAY
    """How that cube is opened, where its file does not say."""

    def __post_init__(self) -> None:
        given = (self.references, self.references_from, self.materials)
        if sum(one is not None for one in given) > 1:
            raise ConfigError("references, references_from and materials exclude each other")

    def __bool__(self) -> bool:
        return self != KnownFacts()

    def plain(self) -> dict[str, Any]:
        """As plain values, on which finished cubes depend."""
        if not self:
            return {}
        return {
            "capture": None if self.capture is None else self.capture.to_json(),
            "quantity": self.quantity,
            "references": None if self.references is None else self.references.to_json(),
            "references_from": self.references_from and cube_hash(self.references_from),
            "materials": self.materials and content_hash(self.materials),
            **(
                {"references_opening": opening}
                if (opening := self.references_opening.to_dict())
                else {}
            ),
        }

    def bind(
        self,
        reconstructor: Recovers,
        path: Path,
        kind: InputKind,
        picture_options: PictureOptions | None = None,
    ) -> Recovers:
        """What recovers pictures of a kind, of which this is the first.

        Raises:
            RespectraError: what is known cannot be, or not of this picture.
        """
        return mapped(
            reconstructor, lambda member: self._bound(member, path, kind, picture_options)
        )

    def _bound(
        self,
        reconstructor: Reconstructor,
        path: Path,
        kind: InputKind,
        picture_options: PictureOptions | None,
    ) -> Reconstructor:
        if path.suffix.lower() in CLIP_SUFFIXES:
            if not self:
                return reconstructor.for_kind(kind)
            from respectra.inference.video import first_frame

            with first_frame(path, kind) as picture:
                return self._bound(reconstructor, picture, kind, picture_options)
        from respectra.inference.binding import for_first_picture

        facts = self.capture, self.quantity, self.references
        bound = for_first_picture(reconstructor, path, kind, *facts, picture_options)
        if self.references_from is None and self.materials is None:
            return bound
        from respectra.inference.libraries import correct_by_cube, correct_by_materials

        if self.references_from is not None:
            return correct_by_cube(
                bound, path, kind, self.references_from, **self.references_opening.to_dict()
            )
        assert self.materials is not None
        return correct_by_materials(bound, path, kind, self.materials)


def reconstruct_files(
    pictures: PathLike | Sequence[PathLike],
    output: PathLike,
    method: Method = DEFAULT,
    *,
    kind: InputKind | Literal["auto"] = "auto",
    suffix: str = "zarr",
    capture: Capture | None = None,
    quantity: Quantity | None = None,
    references: References | None = None,
    references_from: PathLike | None = None,
    materials: PathLike | None = None,
    references_opening: Opening = AS_THE_FILES_SAY,
    picture_options: PictureOptions | None = None,
    preview: bool = False,
    low_rank: bool = False,
    skip_bad_frames: bool = False,
    overwrite: bool = False,
    fail_fast: bool = False,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    **options: Any,
) -> list[Outcome]:
    """Recover the cube behind each picture of files, folders or patterns.

    Several pictures go into a folder with a manifest: a run that ended, however it ended, is taken
    up by the same call, and what is done is skipped. One file goes to ``output`` itself where
    that ends like a cube.

    Args:
        pictures: files, folders or patterns such as ``shots/**/*.png``, of pictures and clips;
            here, or by any URL that fsspec reaches.
        output: a cube to write, or a folder of cubes; here, or by URL.
        method: as for :func:`respectra.load`; several such, of which the mean is taken; a
            reconstructor or an ensemble; or a function that gives one for images of a track.
        kind: what the values are; ``auto``: by the challenge's file names and the camera of the
            capture, or of weights that are for one, else ``srgb``.
        suffix: format of the cubes in a folder; clips are always Zarr.
        capture: what is known of how the pictures were taken. Places are those of the first one.
        quantity: ``reflectance`` or ``radiance``, as for :func:`respectra.load`.
        references: known spectra of the first picture.
        references_from: a cube of the same place, whose spectra serve as references.
        materials: a table of spectra of what is in the scene, as a prior.
        references_opening: how the cube of ``references_from`` is opened, where its file does not
            say: ``respectra.datasets.collections.Opening(key="cube")``.
        picture_options: how the pictures are read.
        preview: also write ``NAME.preview.png``, for pictures.
        low_rank: store coefficients and their basis instead of spectra.
        skip_bad_frames: leave out frames of a clip that cannot be decoded.
        overwrite: replace what is there.
        fail_fast: raise the first error of several pictures instead of going on.
        cluster: workers of :func:`respectra.cluster.open_cluster` that share them.
        progress: told how many pictures are done; of a single clip, how many frames.
        on_outcome: gets each outcome as it comes.
        options: ``tile``, ``guarantees``, ``self_ensemble`` and others of :func:`respectra.load`.

    Returns:
        What became of each picture; of several, failures too.

    Raises:
        FormatError: there is no such picture, or a single one is damaged.
        ConfigError: a method, format or option that does not exist.
        OutputError: a cube exists, or cannot be written.

    Example:
        >>> import respectra as rs
        >>> rs.reconstruct_files("photos", "cubes", guarantees=["consistent"])  # doctest: +SKIP
    """
    known = KnownFacts(
        capture,
        quantity,
        references,
        None if references_from is None else Path(references_from),
        None if materials is None else Path(materials),
        references_opening,
    )
    if isinstance(method, Reconstructor | ModelEnsemble):
        if options:
            raise ConfigError(
                f"{', '.join(sorted(options))}: options of respectra.load do not go with a "
                "reconstructor that is made already; make it with them"
            )
        options = {"guarantees": sorted(method.guarantees.names)}
    several = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
    arguments = [os.fspath(picture) for picture in several]
    inputs, target = find_places(arguments), parse_place(os.fspath(output))
    targets = _targets(inputs, target, suffix)
    reading = picture_options or PictureOptions()
    reading = options_for(reading, capture)
    if kind not in (*INPUT_KINDS, "auto"):
        raise unknown_name("kind of input", kind, (*INPUT_KINDS, "auto"))
    writing = Writing(reading, preview, low_rank, skip_bad_frames, overwrite)
    choose = _Chosen(method, known, reading, options)
    taken = capture or choose.own_capture()
    told, shown = on_outcome or (lambda outcome: None), as_progress(progress)
    with mirrored(target) as mirror:
        jobs = [
            mirror.job(
                path, below, place, kind if kind != "auto" else input_kind_of(path.name, taken)
            )
            for (path, below), place in zip(inputs, targets, strict=True)
        ]
        # One picture by its name, or into a cube by its name; whatever else has a manifest.
        named = inputs[0][0] == parse_place(arguments[0])
        if len(inputs) == 1 and (named or targets == [target]):
            outcome = _single(jobs[0], mirror, choose, writing, shown, overwrite=overwrite)
            told(outcome)
            return [outcome]
        outcomes: list[Outcome] = []
        shown(0, len(jobs), "reconstructing")
        for outcome in mirror.run(
            jobs,
            choose,
            functools.partial(work, writing=writing),
            options=_manifest_options(options, writing, known),
            outputs=functools.partial(outputs, preview=preview),
            overwrite=overwrite,
            fail_fast=fail_fast,
            cluster=cluster,
        ):
            outcomes.append(outcome)
            told(outcome)
            shown(len(outcomes), len(jobs), "reconstructing")
        return outcomes


class _Chosen:
    """The reconstructor for a job: by its kind, and what its file says of its camera."""

    def __init__(
        self,
        method: Method,
        known: KnownFacts,
        reading: PictureOptions,
        options: Mapping[str, Any],
    ) -> None:
        self.method, self.known, self.reading, self.options = method, known, reading, options
        self._plain: dict[str, Recovers] = {}
        self._bound: dict[tuple[str, Any], Recovers] = {}

    def __call__(self, job: Job) -> Recovers:
        key = job.kind, _said_of(job, self.reading)
        if key not in self._bound:
            plain = self._for_track(track_of_kind(job.kind))
            # The first picture of a kind is the one in which places are stated: what was learned
            # from it stays.
            while len(self._bound) >= _KEPT_READY and not self.known:
                self._bound.pop(next(iter(self._bound)))
            self._bound[key] = self.known.bind(plain, job.source, job.kind, self.reading)
        return self._bound[key]

    def own_capture(self) -> Capture | None:
        """What a reconstructor or a weights file that is for one capture says of its pictures."""
        made = isinstance(self.method, Reconstructor | ModelEnsemble)
        if not made and not (
            isinstance(self.method, str | os.PathLike) and Path(self.method).is_file()
        ):
            return None
        plain = self._for_track("clean")
        return (plain.members[0] if isinstance(plain, ModelEnsemble) else plain).capture

    def _for_track(self, track: str) -> Recovers:
        if track not in self._plain:
            if isinstance(self.method, Reconstructor | ModelEnsemble):
                self._plain[track] = self.method
            elif callable(self.method):
                self._plain[track] = self.method(track)
            elif isinstance(self.method, str | os.PathLike):
                self._plain[track] = load(self.method, track=track, **self.options)
            else:
                members = [load(one, track=track, **self.options) for one in self.method]
                self._plain[track] = ModelEnsemble(members)
        return self._plain[track]


def _single(
    job: Job,
    mirror: Mirror,
    choose: _Chosen,
    writing: Writing,
    progress: Progress,
    *,
    overwrite: bool,
) -> Outcome:
    """A picture or clip by its name, without a manifest; errors are raised."""
    if not growing_folder(job.target).exists():  # else a killed run is taken up
        mirror.ensure_absent(job, overwrite=overwrite)
    reconstructor = mirror.choose(choose)(job)
    start = time.perf_counter()
    told = functools.partial(work, writing=writing, progress=progress)
    facts = dict(RemoteWork(told)(reconstructor, job))
    return Outcome(job, "done", time.perf_counter() - start, facts=facts)


def _manifest_options(
    options: Mapping[str, Any], writing: Writing, known: KnownFacts
) -> dict[str, Any]:
    """What finished cubes depend on besides picture and weights; defaults are left out."""
    usual = PictureOptions().model_dump()
    reading = writing.reading.model_dump()
    tile = options.get("tile", "auto")
    return {
        "guarantees": sorted(options.get("guarantees", ())),
        "tile": None if tile == "auto" else tile,
        "preview": writing.preview,
        "low_rank": writing.low_rank,
        **{key: value for key, value in reading.items() if value != usual[key]},
        **known.plain(),
        **({"force": True} if options.get("force") else {}),
    }


def _said_of(job: Job, options: PictureOptions) -> Any:
    """What the file says of its camera or colour space: pictures that differ in it are apart."""
    if job.kind not in ("srgb", "camera") or job.source.suffix.lower() in CLIP_SUFFIXES:
        return None
    return described_capture(open_picture(job.source, job.kind, **options.model_dump()).attrs)


def _targets(inputs: list[tuple[Place, PurePath]], output: Place, suffix: str) -> list[Place]:
    """Where each cube goes: the named file for a single picture, else a folder."""
    known = {suffix for entry in FORMATS for suffix in entry.suffixes}
    ending = f".{suffix.lstrip('.')}"
    if ending not in known:
        raise ConfigError(f"unknown format {suffix!r}; known: {', '.join(sorted(known))}")
    if len(inputs) == 1 and output.suffix.lower() in known:
        return [output]
    if len(inputs) == 1 and output.suffix and not output.is_dir():
        raise ConfigError(
            f"{output} does not end like a cube ({', '.join(sorted(known))}); choose one of these, "
            "or a folder without a dot in its name"
        )
    if output.suffix.lower() in known:
        raise OutputError(
            f"{len(inputs)} pictures cannot go into the one cube {output}; name a folder"
        )
    targets: list[Place] = []
    for path, place in inputs:
        clip = path.suffix.lower() in CLIP_SUFFIXES
        name = place.with_name(place.stem + (".zarr" if clip else ending))
        targets.append(output / name.as_posix())
    counts = Counter(targets)
    twice = sorted(target.name for target, count in counts.items() if count > 1)
    if twice:
        raise OutputError(f"several pictures would be written to {', '.join(twice)}")
    return targets
