"""Videos -> frames as picture files, decoded once into the cache.

In: a manifest with videos, the cache folder. Out: the manifest with their frames. A video's frames
lie in `clips/<SHA-256 of the file>/`, which appears only whole. Must not load torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from pipeline.errors import ImageError, ManifestError
from pipeline.files import CLIPS, TEMPORARY_PREFIX, cannot_write
from pipeline.json_text import read_json
from pipeline.manifest import Clip, Manifest, Picture
from pipeline.pictures import Timing, decode_video, file_sha256

_ABOUT = "clip.json"


def with_frames(manifest: Manifest, cache: Path, tell: Callable[[str], None]) -> Manifest:
    """The manifest with the frames of its videos.

    Args:
        cache: the cache folder.
        tell: told of each video that is decoded, which may take minutes.

    Raises:
        ManifestError: a video is damaged or has no frame; all of them at once.
        RunFolderError: the cache cannot be written.
    """
    problems: list[str] = []
    contents = []
    for content in manifest.contents:
        if content.clip is not None and not content.clip.frames:
            try:
                content = replace(content, clip=_clip(content, cache / CLIPS, tell))
            except ImageError as error:
                problems.append(str(error))
        contents.append(content)
    if problems:
        raise ManifestError(problems)
    return replace(manifest, contents=tuple(contents))


def _clip(video: Picture, folder: Path, tell: Callable[[str], None]) -> Clip:
    """A video's frames, decoded if they are not there."""
    sha256 = file_sha256(video.path)
    own = folder / sha256
    try:
        folder.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock  # here alone: it takes a while to load

        with FileLock(folder / f"{sha256}.lock"):
            timing = _read(own)
            if timing is None:
                tell(f"{video.path}: decoding its frames into {own}")
                timing = _decode(video.path, own)
    except OSError as error:
        raise cannot_write(own, error) from error

    def frame(number: int) -> Picture:
        # Not of the file's bytes: those of a PNG depend on who packed it.
        digest = hashlib.sha256(f"{sha256}/{number}".encode()).hexdigest()
        return Picture(
            _frame_path(own, number),
            f"{number:06}",
            mask=video.mask,
            digest=digest,
            keep=video.keep,
        )

    return Clip(tuple(frame(n + 1) for n in range(len(timing.times))), timing)


def _frame_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.png"


def _decode(video: Path, own: Path) -> Timing:
    """Decodes into a folder beside, which is then renamed."""
    shutil.rmtree(own, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=own.parent))
    try:
        timing = decode_video(video, draft)
        about = {
            "schema": 1, "video": video.name, "rate": str(timing.rate), "base": str(timing.base),
            "times": timing.times, "sound": timing.has_sound,
        }  # fmt: skip
        (draft / _ABOUT).write_text(json.dumps(about))
        draft.chmod(0o777 & ~_umask_of(own.parent))
        draft.replace(own)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return timing


def _umask_of(folder: Path) -> int:
    """What the folder's own rights lack, since a temporary folder is its owner's alone."""
    return ~folder.stat().st_mode & 0o777


def _read(own: Path) -> Timing | None:
    """What is known of a clip that was decoded before; None if it is not there whole."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        about = read_json((own / _ABOUT).read_bytes())
        timing = Timing(
            Fraction(about["rate"]), Fraction(about["base"]), tuple(about["times"]), about["sound"]
        )
        there = sum(1 for _ in own.glob("*.png"))
        if there == len(timing.times) > 0:
            return timing
    return None
