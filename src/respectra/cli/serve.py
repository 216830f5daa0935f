"""The ``serve`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from respectra.cli.app import app, echo
from respectra.errors import ConfigError

_WHERE = "Where it listens"
_LIMITS = "Limits"


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.", rich_help_panel=_WHERE)
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            help="Port; 0 takes a free one.",
            min=0,
            max=65535,
            rich_help_panel=_WHERE,
        ),
    ] = 8020,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Token that clients show.",
            show_default="none for this machine, one that is made up for other addresses",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Keep results there.", show_default="a temporary folder"
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A weights file to offer; may be repeated.",
            show_default="the methods that ship",
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Another site whose pages may use the service; may be repeated.",
            show_default="none",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    max_upload: Annotated[
        int,
        typer.Option(metavar="MIB", help="Largest upload.", min=1, rich_help_panel=_LIMITS),
    ] = 2048,
    max_megapixels: Annotated[
        int,
        typer.Option(metavar="MEGAPIXELS", help="Largest picture.", min=1, rich_help_panel=_LIMITS),
    ] = 64,
    max_queue: Annotated[
        int,
        typer.Option(metavar="N", help="Jobs that may wait.", min=1, rich_help_panel=_LIMITS),
    ] = 16,
    keep_minutes: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            help="How long results are kept.",
            min=0.1,
            rich_help_panel=_LIMITS,
        ),
    ] = 60,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page.")] = False,
) -> None:
    """Open a page that shows the spectrum under the pointer, and the service behind it."""
    from respectra.viewer.extra import require_extra

    require_extra()
    from respectra.viewer.limits import Limits
    from respectra.viewer.server import address, listen, make_server, secured
    from respectra.viewer.service import Settings

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
