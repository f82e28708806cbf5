"""A real S3 server on the loopback address, for tests and benchmarks: moto's, in a thread here."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from pipeline.address import as_path
from pipeline.remote import put

KEY, SECRET = "AKIATESTKEY", "sEcReT/wOrd+42"
_VARIABLES = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextlib.contextmanager
def s3_server(*buckets: str) -> Iterator[str]:
    """A server with these buckets; its address. The variables that drivers read name it, for this
    process and its children."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    # All servers of a process have one memory.
    urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()
    _forget_server()
    before = {name: os.environ.get(name) for name in (*_VARIABLES, "AWS_ENDPOINT_URL")}
    os.environ.update(_VARIABLES, AWS_ENDPOINT_URL=address)
    try:
        client = s3_client()
        for bucket in buckets:
            client.create_bucket(Bucket=bucket)
        yield address
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        server.stop()
        _forget_server()


def _forget_server() -> None:
    """Drivers keep their connections, to the server that the variables named when they began."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()


def s3_client() -> Any:
    """A client of botocore, which knows nothing of ours."""
    import botocore.session

    return botocore.session.get_session().create_client("s3")


def keys_in(bucket: str, prefix: str = "") -> list[str]:
    """The names of all objects in a bucket, sorted."""
    pages = s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sorted(one["Key"] for page in pages for one in page.get("Contents", []))


def upload(folder: Path, address: str) -> None:
    """Puts all files of a folder at an address."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            below = path.relative_to(folder).as_posix()
            put(as_path(f"{address}/{below}"), path)  # type: ignore[arg-type]
