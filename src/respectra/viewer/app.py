"""The application: routes, static files, errors and safety put together."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware

import respectra
from respectra.viewer import routes_jobs, routes_results
from respectra.viewer.security import SecurityMiddleware
from respectra.viewer.service import Service
from respectra.viewer.settings import Settings

logger = logging.getLogger("respectra.viewer")

_STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service and its page as an ASGI application.

    Args:
        settings: see :class:`Settings`; by default for this machine alone.

    Raises:
        OutputError: the job folder cannot be used, or another server uses it.

    Example:
        >>> create_app().title
        'Respectra'
    """
    settings = settings or Settings()
    service = Service(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.jobs.start(worker=settings.uploads)
        try:
            yield
        finally:
            await service.jobs.stop()
            service.store.close()

    app = FastAPI(
        title="Respectra",
        version=respectra.__version__,
        description="Recover the spectrum behind every pixel of a picture, and look at it.",
        lifespan=lifespan,
        docs_url=None,  # its page comes from elsewhere, which the content policy forbids
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.service = service
    app.add_middleware(
        SecurityMiddleware,
        token=settings.token,
        hosts=None if settings.hosts is None else frozenset(settings.hosts),
        origins=settings.origins,
        embed=settings.embed,
        connections=settings.limits.connections,
        patience_s=settings.limits.idle_s,
    )
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["*"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.include_router(routes_jobs.router)
    app.include_router(routes_results.router)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"detail": "; ".join(problems)[:1000]}, status_code=422)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        logger.error("an unforeseen error", exc_info=error)
        return JSONResponse({"detail": "the server failed; its log has the reason"}, 500)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app
