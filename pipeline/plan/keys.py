"""What a job's key is made of: all that decides the output's pixels, and nothing else.

In: input files, settings, the weights' digest, the algorithm's version. Out: SHA-256 over them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from pipeline.address import Address, as_path
from pipeline.manifest import INITS, Picture, Settings, Style
from pipeline.pictures import read_identity, seems_in_set
from pipeline.plan.pairing import PairIndex
from pipeline.remote import fetched_ahead
from pipeline.version import MASKS, STYLE_LOSSES, UNBOUNDED_LBFGS

Turn = tuple[PairIndex, int]


def remote_ahead(contents: Sequence[Picture], turns: Iterable[Turn]) -> Iterable[Turn]:
    """The turns of a plan, those of remote contents with the files that their keys need fetched
    ahead; what cannot be read is told when its key is made."""
    if not any(isinstance(content.path, Address) for content in contents):
        return turns
    begun = bytearray(len(contents))

    def fetch(turn: Turn) -> None:
        number = turn[0].content
        if not begun[number]:
            begun[number] = 1
            one = contents[number]
            for path in filter(None, (one.path, one.mask, one.keep)):
                read_identity(path)

    return fetched_ahead(turns, fetch)


class Keys:
    """Makes keys; each input file is read once.

    Args:
        digest: of the backbone's weights, for given settings (they decide normalization).
        algorithm: version of the code that decides pixels.
    """

    def __init__(self, digest: Callable[[Settings], str], algorithm: int) -> None:
        self._digest, self._algorithm = digest, algorithm
        self._file_sha256 = lru_cache(maxsize=1_000_000)(read_identity)
        # Those of data sets come one after the other, and there are millions of them.
        self._member_sha256 = lru_cache(maxsize=10_000)(read_identity)

    def _sha256(self, path: Path) -> str:
        return self._member_sha256(path) if seems_in_set(path) else self._file_sha256(path)

    def canonical(self, settings: Settings) -> str:
        """The settings that decide pixels, as text that is the same for the same ones.

        Raises:
            ImageError: the file that `init` names cannot be read.
        """
        deciding = settings.deciding_pixels()
        if settings.init not in INITS:
            deciding["init"] = self._sha256(as_path(settings.init))
        if settings.style_loss in STYLE_LOSSES:
            deciding["style_loss_version"] = STYLE_LOSSES[settings.style_loss]
        if settings.optimizer == "lbfgs" and not settings.clamp:
            deciding["optimizer_version"] = UNBOUNDED_LBFGS
        return json.dumps(deciding, sort_keys=True)

    def inputs(
        self, content: Picture, style: Style, settings: Settings, before: Picture | None = None
    ) -> dict[Path, str]:
        """What each file that a job reads is in its key, by path; of decoded videos' frames, which
        are nobody's files, nothing.

        Args:
            before: the content of the frame before.

        Raises:
            ImageError: an input file has vanished or cannot be read.
        """
        pictures = [content, *([before] if before else [])]
        paths = [picture.path for picture in pictures if not picture.digest]
        paths += [path for path, _ in style.parts]
        paths += [mask for mask in (content.mask, content.keep, *style.masks) if mask]
        paths += [] if settings.init in INITS else [as_path(settings.init)]
        return {path: self._sha256(path) for path in paths}

    def key(
        self, content: Picture, style: Style, settings: Settings, canonical: str, before: str = ""
    ) -> str:
        """A job's key; 64 hex digits.

        Args:
            canonical: of `settings`, which many jobs share.
            before: of a clip's frame after the first, the key of the job of the frame before.

        Raises:
            ImageError: an input file has vanished or cannot be read.
        """
        parts = [
            str(self._algorithm),
            self._digest(settings),
            content.digest or self._sha256(content.path),
            json.dumps([[self._sha256(path), weight] for path, weight in style.parts]),
            canonical,
        ]
        masks = [content.mask, *style.masks]
        if any(masks):
            parts.append(json.dumps([mask and self._sha256(mask) for mask in masks]))
            parts.append(json.dumps(style.regions))
        if content.mask:
            parts.append(json.dumps({"masks": MASKS, "edge": settings.mask_edge}))
        if content.keep:
            parts.append(json.dumps({"keep": self._sha256(content.keep), "masks": MASKS}))
        if before:
            parts.append(before)
            parts.append(json.dumps(settings.deciding_frames(), sort_keys=True))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
