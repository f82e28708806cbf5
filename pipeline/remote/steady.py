"""What is tried again on the way to remote storage, and what its errors say.

In: something to do. Out: what it gives; or an `OSError` in words that have no secrets in them.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeGuard, TypeVar

from pipeline.address import Address, clean
from pipeline.errors import NstError

Given = TypeVar("Given")

# Seconds before each further try.
PAUSES_S = (0.5, 2.0, 8.0)
_SETTLED = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)
# By the name of its class, since drivers are loaded only where they are needed.
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "HttpError_401")
_REFUSED = (400, 401, 403, 405, 410)
_MISSING = "no such file or bucket"


def steadily(address: Address, action: Callable[[], Given]) -> Given:
    """What an action gives; after a transient error it is tried again, with growing pauses.

    Raises:
        OSError: not there, not allowed, or not reached in several tries.
        NstError: as the action raises it.
    """
    for pause in (*PAUSES_S, None):
        try:
            return action()
        except NstError:
            raise
        except Exception as error:  # noqa: BLE001 (drivers raise errors of every kind)
            final = _final(address, error)
            if final is not None:
                raise final from None  # its own words may hold the address with all its secrets
            if pause is None:
                why = f"not reached in {len(PAUSES_S) + 1} tries: {_words(error)}"
                raise OSError(errno.EIO, why, str(address)) from None
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _final(address: Address, error: Exception) -> OSError | None:
    """The error to raise where another try would fare no better; None for a transient one."""
    if isinstance(error, FileNotFoundError) and _of_the_web(error.__cause__):
        error = error.__cause__  # fsspec's word for whatever a server of the web did not give
    status = getattr(error, "status", None)
    if isinstance(error, _SETTLED) or status == 404:
        kind = type(error) if isinstance(error, _SETTLED) else FileNotFoundError
        number = error.errno if isinstance(error, OSError) and error.errno else errno.ENOENT
        return kind(number, _MISSING, str(address))
    if isinstance(error, PermissionError) or status in _REFUSED:
        why = f"refused: {_words(error)}; check credentials and rights"
        return PermissionError(errno.EACCES, why, str(address))
    if type(error).__name__ in _NO_CREDENTIALS:
        why = "no credentials found; set those that the storage's driver reads"
        return PermissionError(errno.EACCES, why, str(address))
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return error
    if isinstance(error, (ValueError, TypeError, NotImplementedError)):
        return OSError(errno.EINVAL, f"cannot be opened: {_words(error)}", str(address))
    return None


def _of_the_web(error: BaseException | None) -> TypeGuard[Exception]:
    # asyncio's own in Python 3.10; it is not loaded for its name.
    own = type(error).__module__.startswith("aiohttp")
    return own or type(error).__name__ == "TimeoutError"


def _words(error: Exception) -> str:
    """An error in a line."""
    status = getattr(error, "status", None)
    said = f"HTTP {status}" if status else " ".join(clean(str(error)).split())[:200]
    return said or type(error).__name__
