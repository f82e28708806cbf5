"""`nst weights`: which weights are there and what they are, and fetching them ahead of time.

In: a backbone's name. Out: text. The list must not load torch, but to read a pickled file whose
network's digest is not yet noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import NstError, WeightsError
from pipeline.layers import BACKBONES
from pipeline.manifest import WEIGHT_SOURCES, is_file, source_meant
from pipeline.method import INSTALL_EXTRA, LITE_FILE, extra_path, find_source, inspect_weights
from pipeline.method import torchvision_path as kept_path
from pipeline.pictures import file_sha256
from pipeline.terminal import say


def list_weights(cache: Path | None = None) -> None:
    """Prints which weights are there, where, what they are, with both digests of each.

    The file's is what `sha256sum` says; the network's, over its numbers in any file, is the one
    that records hold.
    """
    for backbone, choice, path in _known():
        title = f"{backbone} {choice}" if choice else backbone
        if path is None or not is_file(path):
            say(f"{title:18} not there: {_how_to_have(backbone, choice)}")
            continue
        try:
            known = inspect_weights(backbone, choice, cache=cache)
            about, network = known.about, f"{known.digest[:16]}..., as records hold it"
        except NstError as error:
            about, network = str(error), "none, for this file is refused"
        say(f"{title:18} {path.stat().st_size / 1e6:.1f} MB, {path}")
        say(f"{'':18} file's SHA-256 {file_sha256(path)[:16]}...")
        say(f"{'':18} network's digest {network}\n{'':18} {about}")


def _known() -> Iterator[tuple[str, str | None, Path | None]]:
    yield "vgg19", "caffe", extra_path()
    yield "vgg19", "torchvision", kept_path("vgg19")
    yield "vgg16", "torchvision", kept_path("vgg16")
    yield "lite", None, LITE_FILE


def _how_to_have(backbone: str, choice: str | None) -> str:
    return INSTALL_EXTRA if choice == "caffe" else f"nst weights download {backbone}"


def parse_weights(text: str | None, option: str = "--weights") -> Path | str | None:
    """What a command line says of weights: one of `WEIGHT_SOURCES`, or a file.

    Raises:
        WeightsError: no such file, but nearly one of the words.
    """
    if text is None or text in WEIGHT_SOURCES:
        return text
    near = None if is_file(Path(text)) else source_meant(text)
    if near:
        raise WeightsError(f"{option} {text}: no such weight file; did you mean {near}?")
    return Path(text)


def fetch_weights(name: str, cache: Path | None = None) -> None:
    """Fetches a backbone's weights ahead of time, where none are there.

    Raises:
        WeightsError: an unknown backbone, or a download that failed.
    """
    if name not in BACKBONES:
        raise WeightsError(f"{name!r} is not a backbone; known are {', '.join(BACKBONES)}")
    from pipeline.method import load_weights  # loads torch, which takes seconds

    source = find_source(name, None if name == "lite" else "torchvision", cache)
    weights = load_weights(name, source.choice, cache=cache)
    say(f"{name}: {source.about}, network's digest {weights.digest}")
