"""`nst import`: another tool's command as a manifest, or a script's as several."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ManifestError
from pipeline.files import write_atomic
from pipeline.manifest import import_command, import_script, is_file
from pipeline.terminal import say

_SCRIPTS = (".sh", ".bash", ".zsh", ".txt", ".bat", ".cmd")


def show_imported(tool: str, words: Sequence[str]) -> None:
    """Prints the manifest that does what another tool's command does; of a script's several
    commands writes a manifest each into the working folder, and says how to run them.

    Args:
        tool: the other tool's name.
        words: its command, word by word, or a script's file.

    Raises:
        ManifestError: an unknown tool or option, a value that is wrong, or manifests that are there
            already.
        RunFolderError: they cannot be written.
    """
    words = list(words[1:] if words[:1] == ["--"] else words)
    if len(words) != 1 or Path(words[0]).suffix.lower() not in _SCRIPTS:
        print(import_command(tool, words), end="")
        return
    script = Path(words[0])
    if not is_file(script):
        raise ManifestError([f"{script}: no such file"])
    try:
        text = script.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError([f"{script}: cannot be read as text ({error}); check it"]) from error
    try:
        found = import_script(tool, text, script.stem)
    except ManifestError as error:
        raise ManifestError([f"{script}: {problem}" for problem in error.problems]) from error
    if len(found) == 1:
        print(*found.values(), sep="", end="")
        return
    there = [name for name in found if Path(name).exists()]
    if there:
        raise ManifestError([f"{there[0]}: is there already; move it away"])
    for name, manifest in found.items():
        write_atomic(Path(name), manifest.encode("utf-8", "surrogateescape"))
    say(f"{len(found)} manifests, one a command; run them in order:")
    say(" && ".join(f"nst batch {shlex.quote(name)}" for name in found))
