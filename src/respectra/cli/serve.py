"""The ``serve`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from respectra.cli.app import app, echo
from respectra.cli.options import flag, option
from respectra.errors import ConfigError

_WHERE = "Where it listens"
_LIMITS = "Limits"


@app.command()
def serve(
    host: Annotated[str, option("ADDRESS", "Address to listen on.", _WHERE)] = "127.0.0.1",
    port: Annotated[
        int, option("PORT", "Port; 0 takes a free one.", _WHERE, min=0, max=65535)
    ] = 8020,
    token: Annotated[
        str | None,
        option(
            "TEXT",
            "Token that clients show.",
            _WHERE,
            unset="none for this machine, one that is made up for other addresses",
        ),
    ] = None,
    folder: Annotated[
        Path | None, option("FOLDER", "Keep results there.", unset="a temporary folder")
    ] = None,
    weights: Annotated[
        list[Path] | None,
        option("FILE", "A weights file to offer; may be repeated.", unset="the methods that ship"),
    ] = None,
    origin: Annotated[
        list[str] | None,
        option(
            "URL",
            "Another site whose pages may use the service; may be repeated.",
            _WHERE,
            unset="none",
        ),
    ] = None,
    max_upload: Annotated[int, option("MIB", "Largest upload.", _LIMITS, min=1)] = 2048,
    max_megapixels: Annotated[int, option("MEGAPIXELS", "Largest picture.", _LIMITS, min=1)] = 64,
    max_queue: Annotated[int, option("N", "Jobs that may wait.", _LIMITS, min=1)] = 16,
    keep_minutes: Annotated[
        float, option("MINUTES", "How long results are kept.", _LIMITS, min=0.1)
    ] = 60,
    open_browser: Annotated[bool, flag("--open", "Open the page.")] = False,
) -> None:
    """Open a page that shows the spectrum under the pointer, and the service behind it."""
    from respectra.viewer import Limits, Settings  # which ask for the extra
    from respectra.viewer.server import address, listen, make_server, secured

    offered = {path.stem: path for path in weights or []}
    if len(offered) < len(weights or []):
        raise ConfigError("two weights files have the same name; rename one")
    settings = Settings(
        folder=folder,
        token=token,
        weights=offered,
        origins=tuple(origin or ()),
        limits=Limits(
            upload_bytes=max_upload * 2**20,
            pixels=max_megapixels * 1_000_000,
            queue=max_queue,
            expire_s=keep_minutes * 60,
        ),
    )
    settings = secured(settings, host)
    listener = listen(host, port)
    server = make_server(settings)
    url = address(host, listener.getsockname()[1], settings.token)
    echo(f"Respectra is at {url}  (Ctrl+C ends it)")
    if open_browser:
        import webbrowser

        webbrowser.open(url)
    server.run(sockets=[listener])
