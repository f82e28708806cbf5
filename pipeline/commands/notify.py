"""`--notify-url`: tells an address how a run ended.

In: an address that the user gave, and the summary. Out: one POST of JSON. An address may hold a
secret, so no more of it than the host is ever said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import ManifestError

_PATIENCE_S = 15.0


def check_address(url: str) -> None:
    """Whether it can be posted to, before the night and not after it.

    Raises:
        ManifestError: it is no http or https address.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    if valid and parts.username is not None:
        raise ManifestError(["--notify-url: takes no user and password; give a token in the path"])
    if not valid:
        raise ManifestError(["--notify-url: an http or https address is needed"])


def notify(url: str, event: Mapping[str, Any]) -> str:
    """Posts an event as JSON.

    Returns:
        why it did not arrive, or nothing.
    """
    # Here alone: they take a while to load.
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    headers = {"Content-Type": "application/json", "User-Agent": "nst"}
    request = urllib.request.Request(url, json.dumps(event).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S):
            return ""
    except urllib.error.HTTPError as error:
        why = f"it answered {error.code} {error.reason}"
    except urllib.error.URLError as error:
        why = str(error.reason)
    except (OSError, HTTPException) as error:
        why = str(error) or type(error).__name__
    return f"{urlsplit(url).hostname} was not told: {why}"
