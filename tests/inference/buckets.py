"""An S3 server on loopback, for tests."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from moto.server import ThreadedMotoServer

#: Where credentials come from, whoever runs the tests.
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_MAX_ATTEMPTS": "1",
}


class Server:
    """A server that can be stopped and started again at the same port, its objects kept."""

    def __init__(self) -> None:
        self._running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._running.start()
        self.port = self._running.get_host_and_port()[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def empty(self) -> None:
        """Forget all buckets: servers of one process share them."""
        request = urllib.request.Request(f"{self.address}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request, timeout=60):
            pass

    def stop(self) -> None:
        self._running.stop()

    def start(self) -> None:
        self._running = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._running.start()


def serve() -> Iterator[Server]:
    """A server with a bucket ``flight``, told to this process and its children."""
    with pytest.MonkeyPatch.context() as patch:
        server = Server()
        for name, value in _ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", server.address)
        forget()
        server.empty()
        files().mkdir("flight")
        try:
            yield server
        finally:
            forget()
            server.stop()


def files() -> Any:
    """The file system of the server."""
    return fsspec.filesystem("s3")


def filled(folder: Path, where: str) -> Iterator[str]:
    """The URL of the bucket, with the files of a folder in it at a place; emptied afterwards."""
    system = files()
    for path in folder.iterdir():
        system.put_file(str(path), f"{where}/{path.name}")
    yield "s3://flight"
    if system.exists("flight"):
        system.rm("flight", recursive=True)
    system.mkdir("flight")


def forget() -> None:
    """File systems that were opened with other settings."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
