"""`nst import`: another tool's command as a manifest."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.manifest import import_command


def show_imported(tool: str, words: Sequence[str]) -> None:
    """Prints the manifest that does what another tool's command does.

    Args:
        tool: the other tool's name.
        words: its command, word by word.

    Raises:
        ManifestError: an unknown tool or option, or a value that is wrong.
    """
    print(import_command(tool, words), end="")
