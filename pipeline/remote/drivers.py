"""Which package opens which storage, and how: fsspec's drivers, by scheme.

In: an address. Out: a file system of fsspec, and the address as that wants it.
"""

from __future__ import annotations

import errno
import importlib
from typing import Any

from pipeline.address import Address, secret_of
from pipeline.errors import MissingPackageError, install

# By scheme: the package that fsspec's driver needs, and the extra that brings it.
_PACKAGES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "hf": ("huggingface_hub", "hf"),
    "https": ("aiohttp", "http"),
    "http": ("aiohttp", "http"),
}
_CONNECT_S, _READ_S = 10, 60


def file_system(address: Address) -> Any:
    """What opens an address: a file system of fsspec.

    Listings are asked for anew each time: others write there, too.

    Raises:
        MissingPackageError: the driver is not installed.
        OSError: credentials in an address of a storage that takes none.
    """
    scheme = address.scheme
    if scheme == "gs" and secret_of(address)[0]:
        why = "gs:// takes no credentials in an address; set GOOGLE_APPLICATION_CREDENTIALS"
        raise OSError(errno.EINVAL, why, str(address))
    if scheme in _PACKAGES:
        package, extra = _PACKAGES[scheme]
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingPackageError(
                f"{scheme}:// needs the package {package}, which is not installed: {install(extra)}"
            ) from error
    import fsspec  # here alone: most runs meet no address

    return fsspec.filesystem(scheme, **_options(address))


def _options(address: Address) -> dict[str, Any]:
    scheme, (user, _) = address.scheme, secret_of(address)
    if scheme == "memory":
        return {}
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "s3":
        timeouts = {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S}
        options["config_kwargs"] = timeouts
        if user:
            options["key"], _, options["secret"] = user.partition(":")
    if scheme == "hf" and user:
        options["token"] = user.lstrip(":")
    if scheme in ("http", "https"):
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)
        options["client_kwargs"] = {"timeout": timeout}
    return options


def spelled(address: Address) -> str:
    """An address as its driver wants it, secrets and all; never to be shown."""
    if address.scheme not in ("http", "https"):
        return address.place
    user, query = secret_of(address)
    return f"{address.scheme}://{f'{user}@' if user else ''}{address.place}{query}"
