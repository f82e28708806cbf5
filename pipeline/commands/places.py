"""Where a run lies that a word of the command line means: its folder, or its manifest.

In: a word. Out: the run folder's path. Must not load torch.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.address import Address, as_path
from pipeline.errors import NstError
from pipeline.store import RunFolder

_MANIFESTS = (".yaml", ".yml")


def run_meant(word: str) -> Path:
    """The run folder that a word means: the folder itself, or the `output` of a manifest, or of the
    one in a folder.

    Raises:
        ManifestError: a manifest that cannot be read, or that has no output.
    """
    path = as_path(word)
    if isinstance(path, Address):
        return path
    is_manifest = path.suffix.lower() in _MANIFESTS and path.is_file()
    if not is_manifest:
        store = RunFolder(path)
        if not path.is_dir() or store.header() is not None or store.summaries():
            return path
    # Here alone, since they take a while to load.
    from pipeline.commands.init import manifest_in
    from pipeline.manifest import output_of

    try:
        manifest = manifest_in(path)
    except NstError:
        return path  # which is told as no run, by whoever wants one
    return output_of(manifest)
