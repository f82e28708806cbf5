"""Videos as frames, and frames as videos."""

import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import moving, sound_of, times_of, write_frames
from clips import write_video as make_video
from PIL import Image

from pipeline.errors import ImageError, MissingPackageError
from pipeline.pictures import Timing, check_header, check_video, decode_video, write_video

pytest.importorskip("av")


def decoded(path: Path, folder: Path) -> tuple[list[np.ndarray], Timing]:
    folder.mkdir()
    timing = decode_video(path, folder)
    return [np.asarray(Image.open(p)).astype(int) for p in sorted(folder.glob("*.png"))], timing


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "off"),
    [
        ("a.mp4", "libx264", "yuv420p", 12),
        ("b.mkv", "libx264", "yuv444p10le", 6),
        ("c.mkv", "ffv1", "bgr0", 0),
    ],
)
def test_frames_are_what_was_encoded(
    tmp_path: Path, name: str, codec: str, pixels: str, off: float
) -> None:
    frames = moving(4)
    make_video(tmp_path / name, frames, codec, pixels)
    found, timing = decoded(tmp_path / name, tmp_path / "frames")
    assert timing.rate == 12 and len(found) == 4 and not timing.has_sound
    for image, frame in zip(found, frames, strict=True):
        assert np.abs(image - frame).mean() <= off


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    frames = moving(2)
    data = make_video(tmp_path / "a.mp4", frames).read_bytes()
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 56 << 16, 0, 1 << 30)
    at = data.index(plain, data.index(b"tkhd"))
    (tmp_path / "b.mp4").write_bytes(data[:at] + turned + data[at + 36 :])
    found, _ = decoded(tmp_path / "b.mp4", tmp_path / "frames")
    assert np.abs(found[0] - np.rot90(frames[0], -1)).mean() < 12


def test_a_video_keeps_sizes_times_and_sound(tmp_path: Path) -> None:
    frames = [frame[:55, :71] for frame in moving(4)]
    folder = write_frames(tmp_path / "frames", frames)
    times = (0, 10, 60, 70)
    source = make_video(tmp_path / "a.mp4", moving(4), sound="aac", times=times)
    _, timing = decoded(source, tmp_path / "own")
    write_video(tmp_path / "out.mp4", sorted(folder.iterdir()), timing, source)
    assert times_of(tmp_path / "out.mp4") == pytest.approx([t / 600 for t in times], abs=1e-4)
    assert sound_of(tmp_path / "out.mp4") == sound_of(source) != []
    found, again = decoded(tmp_path / "out.mp4", tmp_path / "again")
    assert found[0].shape == (56, 72, 3) and again.has_sound
    assert np.abs(found[2][:55, :71] - frames[2]).mean() < 12


def test_sound_that_players_do_not_take_becomes_aac(tmp_path: Path) -> None:
    import av

    source = make_video(tmp_path / "a.avi", moving(3), "mpeg4", sound="pcm_s16le")
    folder = write_frames(tmp_path / "frames", moving(3))
    write_video(
        tmp_path / "out.mp4", sorted(folder.iterdir()), Timing.even(Fraction(12), 3), source
    )
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.streams.audio[0].codec_context.name == "aac"


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    import av

    whole = make_video(tmp_path / "a.mp4", moving(3)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp4").touch()
    with av.open(str(tmp_path / "sound.m4v"), "w", format="mp4") as file:
        voice = file.add_stream("aac", rate=48000)
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        heard.sample_rate, heard.pts = 48000, 0
        file.mux(voice.encode(heard))
        file.mux(voice.encode())
    for name, said in (
        ("cut.mp4", "not a video that can be read"),
        ("empty.mp4", "not a video that can be read"),
        ("sound.m4v", "has no pictures, only sound"),
        ("gone.mp4", "no such file"),
    ):
        with pytest.raises(ImageError, match=f"{name}: {said}"):
            check_video(tmp_path / name)


def test_a_damaged_middle_is_told(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", moving(12, (160, 120), 5))
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 200
    data[begin : begin + 2000] = bytes(2000)
    path.write_bytes(data)
    (tmp_path / "frames").mkdir()
    with pytest.raises(ImageError, match=r"a\.mp4: not a video that can be read"):
        decode_video(path, tmp_path / "frames")


def test_an_end_that_is_missing_is_told(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mov", moving(12, (160, 120), 5), header_first=True)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 2])
    (tmp_path / "frames").mkdir()
    with pytest.raises(ImageError, match=r"a\.mov: (damaged video, only \d+ of 12|not a video)"):
        decode_video(path, tmp_path / "frames")


def test_a_video_where_a_picture_is_wanted_is_told(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", moving(2))
    with pytest.raises(ImageError, match=r"a video is a clip, for `content` of a manifest alone"):
        check_header(path)


def test_a_full_disk_is_the_systems_error(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", moving(2))
    with pytest.raises(OSError, match="No such file"):
        write_video(
            tmp_path / "none/out.mp4", sorted(folder.iterdir()), Timing.even(Fraction(12), 2)
        )


def test_without_the_package_one_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackageError, match=r"PyAV, .*: pip install '.\[video\]'"):
        check_video(tmp_path / "a.mp4")
