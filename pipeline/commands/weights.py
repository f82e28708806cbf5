"""`nst weights`: which weights are there, and fetching them ahead of time.

In: a backbone's name. Out: text. The list must not load torch.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pipeline.errors import WeightsError
from pipeline.method import LITE_FILE, NAMES, vgg19_path
from pipeline.pictures import file_sha256


def list_weights() -> None:
    """Prints which weights are there, where, with digests."""
    table = Table("backbone", "file", "SHA-256 of the file", "size")
    for name, path in (("vgg19", vgg19_path()), ("lite", LITE_FILE)):
        if path.exists():
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            table.add_row(name, str(path), file_sha256(path)[:16] + "...", size)
        else:
            table.add_row(name, f"{path} (not there)", "-", "-")
    Console().print(table)
    if not vgg19_path().exists():
        print("fetch VGG-19's with: nst weights download vgg19")


def fetch_weights(name: str) -> None:
    """Fetches a backbone's weights ahead of time.

    Raises:
        WeightsError: an unknown backbone, or a download that failed.
    """
    if name not in NAMES:
        raise WeightsError(f"{name!r} is not a backbone; known are {', '.join(NAMES)}")
    from pipeline.method import load_weights  # loads torch, which takes seconds

    weights = load_weights(name)
    print(f"{name}: {weights.source}, weights digest {weights.digest}")
