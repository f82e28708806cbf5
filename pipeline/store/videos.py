"""Videos of a run's clips: `videos/<clip>__<style>.mp4`, and beside each what it was made of.

In: a run folder and the pictures of a clip's frames. Out: a video, written whole or not at all, and
its JSON, written after it. Must not load torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import RunFolderError
from pipeline.files import cannot_write
from pipeline.pictures import Timing, write_video
from pipeline.store.forms import parse, to_json
from pipeline.store.headers import VideoRecord
from pipeline.store.run_folder import RunFolder


def video_path(store: RunFolder, name: str) -> Path:
    """Where the video of a clip lies."""
    return store.videos / f"{name}.mp4"


def video_is_there(store: RunFolder, name: str, key: str) -> bool:
    """Whether the video is there whole, and made of these frames.

    Args:
        key: of all that decides the video.
    """
    path = video_path(store, name)
    with contextlib.suppress(OSError, ValueError):
        about = parse(VideoRecord, store.inside.read(path.with_suffix(".json")))
        return about.key == key and about.bytes == store.inside.size(path)
    return False


def write_clip(
    store: RunFolder,
    name: str,
    key: str,
    pictures: Sequence[Path],
    timing: Timing,
    sound: Path | None,
) -> None:
    """Writes the video of a clip, then its record.

    Args:
        sound: a video whose sound is copied, or None.

    Raises:
        ImageError: a picture, or the sound, cannot be read.
        MissingPackageError: PyAV is not installed.
        RunFolderError: no space or no rights.
    """
    path = video_path(store, name)
    draft = store.temporary / "video.mp4"
    about = VideoRecord(
        key=key,
        bytes=0,
        frames=[picture.relative_to(store.path).as_posix() for picture in pictures],
        rate=str(timing.rate),
        sound=None if sound is None else str(sound),
    )
    try:
        store.inside.make_folder(path.parent)
        store.inside.remove(path.with_suffix(".json"))
        write_video(store.inside.writable(draft), pictures, timing, sound)
        about.bytes = draft.stat().st_size
        store.inside.replace(draft, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    except ValueError as error:  # frames of several sizes
        raise RunFolderError(f"{path}: cannot be written ({error})") from error
    finally:
        draft.unlink(missing_ok=True)
    store.write(path.with_suffix(".json"), to_json(about.plain()))
