"""A file of text that a person wrote.

In: a path. Out: its text, or what keeps it from being read. Knows nothing of what it says.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ManifestError
from pipeline.files import read_bytes


def read_text_file(path: Path, kind: str, most: int) -> str:
    """A file's text, in UTF-8.

    Args:
        kind: what the file is, for messages, such as `manifest`.
        most: bytes that it may have.

    Raises:
        ManifestError: not there, cannot be read, larger, or no text in UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ManifestError([f"{path}: no such {kind}; check the path"]) from error
    except OSError as error:
        raise ManifestError([f"{path}: cannot be read ({error.strerror}); check it"]) from error
    except UnicodeDecodeError as error:
        why = f"cannot be read as UTF-8 text ({error})"
        raise ManifestError([f"{path}: {why}; save the {kind} as UTF-8"]) from error
