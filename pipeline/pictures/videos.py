"""Video files -> frames and when they are shown; frames -> a video file, with another's sound.

In: paths. Out: pictures, files. Videos are read and written by PyAV, the extra `video`. Must not
load torch.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pipeline.errors import ImageError
from pipeline.pictures.extra import video_package
from pipeline.terminal import counted

if TYPE_CHECKING:  # whoever only asks whether a file is a video needs neither
    import numpy as np

# The first of these that PyAV was built with encodes; and with which options.
_ENCODERS = {
    "libx264": {"crf": "16", "preset": "medium"},
    "libopenh264": {"b": "8M"},
    "mpeg4": {"q": "2"},
}

# Share of the frames that a header promises without which a file is damaged.
_ENOUGH = 0.9
# Sound that players take in MP4 as it is; other sound becomes AAC.
_COPIED = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")


@dataclass(frozen=True)
class Timing:
    """When the frames of a video are shown.

    Attributes:
        rate: frames a second, on the average.
        base: the unit of `times` in seconds.
        times: of each frame.
        has_sound: whether the file has sound beside.
    """

    rate: Fraction
    base: Fraction
    times: tuple[int, ...]
    has_sound: bool = False

    @staticmethod
    def even(rate: Fraction, frames: int) -> Timing:
        """So many frames a second, the first at 0."""
        return Timing(rate, 1 / rate, tuple(range(frames)))


def check_video(path: Path) -> None:
    """Reads only a video's header.

    Raises:
        ImageError: no such file, not a video that can be read, or one without pictures.
        MissingPackageError: PyAV is not installed.
    """
    with _opened(path) as file:
        _picture_stream(path, file)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A video file; that PyAV cannot read it is told as an `ImageError`."""
    with _reading(path) as av:
        file = av.open(str(path))
    with file:
        yield file


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """A block that reads a video by the package that it is given."""
    av = video_package("av")
    try:
        yield av
    except av.FFmpegError as error:
        if isinstance(error, FileNotFoundError):
            raise ImageError(f"{path}: no such file") from error
        raise ImageError(
            f"{path}: not a video that can be read ({error.strerror}); replace it"
        ) from error


def _picture_stream(path: Path, file: Any) -> Any:
    """The first stream of moving pictures; a cover is none."""
    for stream in file.streams.video:
        if not stream.disposition & stream.disposition.attached_pic:
            return stream
    raise ImageError(f"{path}: has no pictures, only sound or data; name a video")


def decode_video(path: Path, folder: Path) -> Timing:
    """Writes all frames of a video as `folder/000001.png` and so on: upright, square pixels, 8-bit
    RGB, all of the first one's size.

    Args:
        folder: existing and empty.

    Raises:
        ImageError: damaged, or without a frame.
        MissingPackageError: PyAV is not installed.
        OSError: a frame cannot be written.
    """
    times: list[int | None] = []
    size: tuple[int, int] | None = None
    with _reading(path), _opened(path) as file:
        stream = _picture_stream(path, file)
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        base = stream.time_base
        for frame in file.decode(stream):
            size = size or _square(frame, stream.sample_aspect_ratio)
            image = Image.fromarray(_upright(frame, size))
            image.save(folder / f"{len(times) + 1:06}.png", compress_level=1)
            times.append(frame.pts)
        has_sound = bool(file.streams.audio)
        # Other headers count what is no frame, or nothing.
        promised = stream.frames if "mp4" in file.format.name else 0
    # A file may be cut to fit, which leaves some frames out.
    if len(times) < _ENOUGH * promised:
        raise ImageError(
            f"{path}: damaged video, only {len(times)} of {counted(promised, 'frame')} can be "
            f"read; replace it"
        )
    if not times:
        raise ImageError(f"{path}: has not one frame; replace it")
    return _timing(times, Fraction(rate), Fraction(base), has_sound)


def _timing(times: Sequence[int | None], rate: Fraction, base: Fraction, has_sound: bool) -> Timing:
    """The frames' own times, or even ones where some are unknown or do not rise."""
    known = [time for time in times if time is not None]
    if len(known) < len(times) or any(b <= a for a, b in itertools.pairwise(known)):
        return replace(Timing.even(rate, len(times)), has_sound=has_sound)
    if len(known) > 1:  # what a header says of the rate may be anything
        rate = ((len(known) - 1) / ((known[-1] - known[0]) * base)).limit_denominator(100_000)
    return Timing(rate, base, tuple(known), has_sound)


def _square(frame: Any, aspect: Fraction | None) -> tuple[int, int]:
    """A frame's width and height with square pixels."""
    return round(frame.width * float(aspect or 1)), frame.height


def _upright(frame: Any, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """A frame's pixels as they are to be seen, H x W x 3."""
    import numpy as np

    pixels = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def write_video(
    path: Path, frames: Sequence[Path], timing: Timing, sound: Path | None = None
) -> None:
    """Encodes picture files as an MP4 video, H.264 where PyAV has it.

    An odd last row or column is repeated, since chroma has half the resolution.

    Args:
        path: its suffix is `.mp4`.
        frames: of one size.
        sound: a video whose sound is copied.

    Raises:
        ImageError: a frame or the sound cannot be read.
        MissingPackageError: PyAV is not installed.
        OSError: the file cannot be written.
    """
    av = video_package("av")
    try:
        with av.open(str(path), "w", format="mp4") as file:
            stream = _add_pictures(file, frames[0], timing)
            with _opened(sound) if sound else contextlib.nullcontext() as voice:
                heard = _add_sound(file, voice) if voice else None
                for picture, time in zip(frames, timing.times, strict=True):
                    frame = av.VideoFrame.from_ndarray(_even(_pixels(picture)), format="rgb24")
                    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
                    frame.pts, frame.time_base = time, timing.base
                    file.mux(stream.encode(frame))
                file.mux(stream.encode())
                if heard:
                    _copy_sound(file, voice, *heard)
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _add_pictures(file: Any, first: Path, timing: Timing) -> Any:
    """The stream of pictures in a new file, for frames of the size of the first."""
    av = video_package("av")
    encoder = next(name for name in _ENCODERS if name in av.codecs_available)
    stream = file.add_stream(encoder, rate=timing.rate, options=_ENCODERS[encoder])
    height, width = _even(_pixels(first)).shape[:2]
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = timing.base
    stream.codec_context.colorspace = 1  # BT.709, as players take what says nothing
    return stream


def _pixels(path: Path) -> np.ndarray[Any, Any]:
    import numpy as np

    from pipeline.pictures.read import read_image

    return np.asarray(read_image(path))


def _even(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """With an even number of rows and columns."""
    import numpy as np

    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")


def _add_sound(file: Any, voice: Any) -> tuple[Any, Any] | None:
    """The sound's stream in its own file and in the new one; None without sound."""
    if not voice.streams.audio:
        return None
    source = voice.streams.audio[0]
    if source.codec_context.name in _COPIED:
        return source, file.add_stream_from_template(source)
    layout = "stereo" if source.layout.nb_channels > 1 else "mono"
    return source, file.add_stream("aac", rate=source.rate, layout=layout)


def _copy_sound(file: Any, voice: Any, source: Any, stream: Any) -> None:
    if source.codec_context.name == stream.codec_context.name:
        for packet in voice.demux(source):
            if packet.dts is not None:  # the last one only ends the stream
                packet.stream = stream
                file.mux(packet)
        return
    for frame in voice.decode(source):
        file.mux(stream.encode(frame))
    file.mux(stream.encode())
