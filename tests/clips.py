"""Small clips made in tests: a window that moves over a smooth random picture."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, Any]


def moving(
    frames: int, size: tuple[int, int] = (72, 56), step: int = 2, seed: int = 0
) -> list[Pixels]:
    """Frames that show a window which moves `step` px to the right each time, H x W x 3."""
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    whole = (width + 10 + step * frames, height + 10)
    big = np.asarray(Image.fromarray(noise).resize(whole, Image.Resampling.BICUBIC))
    return [
        np.ascontiguousarray(big[5 : 5 + height, 5 + step * n : 5 + step * n + width])
        for n in range(frames)
    ]


def write_frames(folder: Path, frames: Sequence[Pixels], name: str = "{:04}.png") -> Path:
    """Writes frames as numbered pictures from 1; their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(folder / name.format(number))
    return folder


def write_video(
    path: Path,
    frames: Sequence[Pixels],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str = "",
    times: Sequence[int] = (),
    header_first: bool = False,
) -> Path:
    """Encodes frames at 12 a second, or at `times` in 600ths of a second, with a tone beside."""
    import av

    options = {"movflags": "faststart"} if header_first else {}
    with av.open(str(path), "w", options=options) as file:
        stream: Any = file.add_stream(codec, rate=12)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, 600)
        voice: Any = file.add_stream(sound, rate=48000) if sound else None
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = (
                (times or range(0, 50 * len(frames), 50))[number],
                stream.codec_context.time_base,
            )
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if voice is not None:
            whole = sound.startswith("pcm")
            wave = np.sin(np.arange(12000) / 17) * 0.4
            values = (wave * 32767).astype(np.int16) if whole else wave.astype(np.float32)
            heard = av.AudioFrame.from_ndarray(
                values[None], format="s16" if whole else "fltp", layout="mono"
            )
            heard.sample_rate, heard.pts = 48000, 0
            file.mux(voice.encode(heard))
            file.mux(voice.encode())
    return path


def sound_of(path: Path) -> list[bytes]:
    """The packets of a file's sound."""
    import av

    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.dts is not None]


def times_of(path: Path) -> list[float]:
    """When a file's frames are shown, s."""
    import av

    with av.open(str(path)) as file:
        return [float(frame.pts * frame.time_base) for frame in file.decode(video=0)]
