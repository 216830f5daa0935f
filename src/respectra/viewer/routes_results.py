"""Routes: scenes and their tiles, spectra, regions, bands, renderings."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.routing import APIRoute

from respectra.cameras import References
from respectra.colour import encode_srgb
from respectra.errors import RespectraError
from respectra.viewer.models import (
    ReferencesOut,
    RegionOut,
    RenderingOut,
    SceneOut,
    SpectraOut,
)
from respectra.viewer.pyramid import TILE, Plane, level_sizes
from respectra.viewer.rendering import band_colours, rendering_matrix, scene_light
from respectra.viewer.scene import BLOCK, REFERENCES_FILE, StoredScene
from respectra.viewer.service import Here, Id, problems

SceneName = Literal["recovered", "truth"]
PlaneName = Literal["coefficients", "picture", "rerendered", "difference", "deviation"]
Index = Annotated[int, Path(ge=0, le=10_000_000)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Light = Annotated[str, Query(max_length=20)]
Pixels = Annotated[str, Query(pattern=r"^\d{1,7},\d{1,7}(;\d{1,7},\d{1,7})*$", max_length=9000)]
#: Points in one request.
_MOST_POINTS = 1000
#: Rows of a region that are read at once.
_ROWS = 256
_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
_TILES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}}}}


class RetryRoute(APIRoute):
    """A route that reads files of a folder, which moves to its place when its job is done."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, called again where a file was gone."""
        handler = super().get_route_handler()

        async def twice(request: Request) -> Response:
            try:
                return await handler(request)
            except FileNotFoundError:
                return await handler(request)

        return twice


router = APIRouter(
    prefix="/api/jobs/{job}/{scene}",
    responses=problems(400, 401, 403, 404, 422, 503),
    tags=["results"],
    route_class=RetryRoute,
)


def _find(service: Here, job: Id, scene: SceneName) -> StoredScene:
    return service.scene(job, scene)


Found = Annotated[StoredScene, Depends(_find)]


@router.get("")
def manifest(found: Found) -> SceneOut:
    """What is needed to evaluate spectra from coefficients."""
    return _describe(found)


@router.get("/tiles/{plane}/{level}/{row}/{column}", response_class=Response, responses=_TILES)
def tile(found: Found, plane: PlaneName, level: Index, row: Index, column: Index) -> Response:
    """Values of a tile: one channel after another, row by row, little-endian."""
    source = _plane(found, plane)
    if level >= len(source.sizes):
        raise HTTPException(404, "there is no such level")
    height, width = source.sizes[level]
    if row * TILE >= height or column * TILE >= width:
        raise HTTPException(404, "there is no such tile")
    rows = slice(row * TILE, min((row + 1) * TILE, height))
    columns = slice(column * TILE, min((column + 1) * TILE, width))
    if not found.manifest.covers(level, rows, columns):
        raise HTTPException(404, "this tile is not computed yet")
    bases = {"coefficients": found.manifest.basis, "deviation": found.manifest.deviation_basis}
    channels = len(bases[plane]) if plane in bases else source.info.channels
    values = source.read(level, rows, columns, channels)
    settled = found.manifest.finest == 0
    caching = "private, max-age=86400, immutable" if settled else "no-store"
    return Response(
        values.tobytes(),
        media_type="application/octet-stream",
        headers={"Cache-Control": caching},
    )


@router.get("/references")
def references(found: Found) -> ReferencesOut:
    """The known spectra of places that were given with the picture; often none."""
    file = found.folder / REFERENCES_FILE
    if not file.exists():
        return ReferencesOut(wavelengths_nm=[], places=[], spectra=[])
    known = References.from_csv(file)
    return ReferencesOut(
        wavelengths_nm=known.wavelengths_nm.tolist(),
        places=known.points.tolist(),
        spectra=known.spectra.tolist(),
    )


@router.get("/rendering")
def rendering(
    found: Found,
    illuminant: Light = "D65",
    observer: Light = "cie1931",
    assumed: Light | None = None,
    adapt: bool = True,
) -> RenderingOut:
    """The matrix that shows the scene under a light, for an observer."""
    manifest = found.manifest
    try:
        matrix = rendering_matrix(
            manifest.wavelengths_nm,
            illuminant=illuminant,
            observer=observer,
            scene=assumed or scene_light(manifest.quantity, manifest.light),
            adapt=adapt,
        )
    except RespectraError as error:
        raise HTTPException(422, str(error)) from None
    rows: Any = matrix.tolist()
    return RenderingOut(matrix=rows)


@router.get("/preview.png", response_class=Response, responses=_PNG)
def preview(found: Found) -> Response:
    """The scene as an eye would see it, at its coarsest level."""
    manifest = found.manifest
    coarsest = len(level_sizes(manifest.height, manifest.width)) - 1
    spectra = found.spectra(slice(None), slice(None), coarsest)
    under = scene_light(manifest.quantity, manifest.light)
    matrix = rendering_matrix(manifest.wavelengths_nm, illuminant="D65", scene=under)
    linear = spectra @ matrix.astype(np.float32) * np.float32(manifest.exposure)
    return _png(np.rint(encode_srgb(linear) * 255).astype(np.uint8))


@router.get("/bands/{band}.png", response_class=Response, responses=_PNG)
def band(found: Found, band: Index) -> Response:
    """One band in grey, at the finest level that has at most a megapixel."""
    manifest = found.manifest
    if band >= len(manifest.wavelengths_nm):
        raise HTTPException(404, "there is no such band")
    sizes = level_sizes(manifest.height, manifest.width)
    small = (n for n, (h, w) in enumerate(sizes) if h * w <= 2**20 and n >= manifest.finest)
    level = next(small, len(sizes) - 1)
    grey = found.spectra(slice(None), slice(None), level, band) / (manifest.peak or 1.0)
    return _png(np.rint(np.clip(grey, 0.0, 1.0) ** (1 / 2.2) * 255).astype(np.uint8))


@router.get("/spectra")
def spectra(
    found: Found,
    at: Pixels,
) -> SpectraOut:
    """Spectra of pixels, given as ``y,x;y,x;...``."""
    points = _points(at, found)
    values = [_pixel(found, y, x).tolist() for y, x in points]
    return SpectraOut(
        wavelengths_nm=list(found.manifest.wavelengths_nm), points=points, values=values
    )


@router.get("/spectra.csv", response_class=Response)
def spectra_csv(
    found: Found,
    at: Pixels,
) -> Response:
    """The same as a table: a row a wavelength, a column a pixel."""
    points = _points(at, found)
    columns = [_pixel(found, y, x) for y, x in points]
    lines = ["wavelength_nm," + ",".join(f"y{y} x{x}" for y, x in points)]
    for row, nm in enumerate(found.manifest.wavelengths_nm):
        lines.append(f"{nm:g}," + ",".join(f"{c[row]:.7g}" for c in columns))
    return Response("\n".join(lines) + "\n", media_type="text/csv")


@router.get("/region")
def region(found: Found, y: Offset, x: Offset, height: Offset, width: Offset) -> RegionOut:
    """Mean and standard deviation over the pixels of a rectangle."""
    manifest = found.manifest
    inside = y + height <= manifest.height and x + width <= manifest.width
    if not inside or height < 1 or width < 1:
        raise HTTPException(422, "the rectangle is empty or reaches beyond the scene")
    return _statistics(found, y, x, height, width)


def _describe(scene: StoredScene) -> SceneOut:
    manifest = scene.manifest
    light = scene_light(manifest.quantity, manifest.light)
    unseen: Any = {"light": True, "stored_from": True, "planes": {"__all__": {"reduce"}}}
    return SceneOut(
        **manifest.model_dump(exclude=unseen),
        tile=TILE,
        levels=level_sizes(manifest.height, manifest.width),
        block=BLOCK,
        rank=manifest.rank,
        band_colours=list(band_colours(manifest.wavelengths_nm)),
        scene_light=light if isinstance(light, str) else manifest.facts.get("light", "known"),
    )


def _plane(scene: StoredScene, name: str) -> Plane:
    plane = scene.plane(name)
    if plane is None:
        raise HTTPException(404, "this scene has no such plane")
    return plane


def _points(text: str, scene: StoredScene) -> list[tuple[int, int]]:
    points = []
    for pair in text.split(";"):
        y, x = (int(number) for number in pair.split(","))
        if y >= scene.manifest.height or x >= scene.manifest.width:
            raise HTTPException(422, f"the pixel y={y}, x={x} lies beyond the scene")
        points.append((y, x))
    if len(points) > _MOST_POINTS:
        raise HTTPException(422, f"ask for at most {_MOST_POINTS} pixels at once")
    return points


def _pixel(scene: StoredScene, y: int, x: int) -> Any:
    level = scene.manifest.level_of(y, x)
    y, x = y >> level, x >> level
    return scene.spectra(slice(y, y + 1), slice(x, x + 1), level)[0, 0].astype(float)


def _statistics(scene: StoredScene, y: int, x: int, height: int, width: int) -> RegionOut:
    """Moments of the coefficients, which give those of the spectra: both are linear."""
    manifest = scene.manifest
    level = manifest.finest
    top, left = y >> level, x >> level
    bottom = max(top + 1, (y + height) >> level)
    right = max(left + 1, (x + width) >> level)
    plane = _plane(scene, "coefficients")
    count, total = 0, np.zeros(manifest.rank)
    square = np.zeros((manifest.rank, manifest.rank))
    shift: Any = None
    for start in range(top, bottom, _ROWS):
        rows = slice(start, min(start + _ROWS, bottom))
        stored = plane.read(level, rows, slice(left, right), manifest.rank)
        flat = stored.reshape(manifest.rank, -1).astype(np.float64)
        if shift is None:
            shift = flat[:, :1]  # moments about a value nearby lose no digits
        flat = flat - shift
        count += flat.shape[1]
        total += flat.sum(axis=1)
        square += flat @ flat.T
    basis = np.asarray(manifest.basis)
    mean = total / count
    covariance = square / count - np.outer(mean, mean)
    variance = np.einsum("kb,kl,lb->b", basis, covariance, basis)
    return RegionOut(
        wavelengths_nm=list(manifest.wavelengths_nm),
        pixels=height * width,
        mean=((mean + shift[:, 0]) @ basis).tolist(),
        standard_deviation=np.sqrt(np.maximum(variance, 0.0)).tolist(),
    )


def _png(picture: Any) -> Response:
    import cv2

    swapped = picture[:, :, ::-1] if picture.ndim == 3 else picture
    ok, data = cv2.imencode(".png", np.ascontiguousarray(swapped))
    if not ok:
        raise HTTPException(503, "the picture could not be encoded")
    return Response(data.tobytes(), media_type="image/png")
