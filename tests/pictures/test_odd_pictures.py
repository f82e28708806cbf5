"""Layouts that decoders disagree on: what is read is what was written, or is refused by name."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from odd_pictures import odd_pictures
from PIL import Image

from pipeline.errors import ImageError
from pipeline.pictures import (
    check_header,
    decode,
    file_sha256,
    read_identity,
    read_image,
    read_profile,
    read_size,
)

CASES = dict(odd_pictures())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::pipeline.notices.NoticeWarning")
def test_what_is_read_is_what_was_written(tmp_path: Path, name: str) -> None:
    odd, path = CASES[name], tmp_path / name
    odd.build(path)
    if isinstance(odd.right, str):
        with pytest.raises(ImageError, match=odd.right) as refused:
            check_header(path)
            read_image(path)
        assert str(refused.value).startswith(f"{path}: ")
        return
    decoded = decode(path)
    assert read_size(path) == decoded.image.size == odd.right.shape[1::-1]
    off = np.abs(np.asarray(decoded.image).astype(float) - odd.right).mean()
    assert off <= odd.off
    codes = tuple(notice.code for notice in decoded.notices)
    assert codes == odd.codes and all(str(path) in str(said) for said in decoded.notices)
    if odd.alpha is not None:
        assert decoded.alpha is not None and (np.asarray(decoded.alpha) == odd.alpha).all()


def test_a_profile_of_no_known_color_space_is_none(tmp_path: Path) -> None:
    path = tmp_path / "strange.png"
    CASES["strange-profile.png"].build(path)
    assert read_profile(path) is None


def test_a_damaged_deep_file_is_told_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "cut.tiff"
    CASES["rgb-16-planes.tiff"].build(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"cut\.tiff: damaged or truncated picture"):
        read_image(path)


def test_a_compression_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tifffile import TiffPage

    def refuse(page: TiffPage) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    path = tmp_path / "packed.tiff"
    CASES["rgb-float.tiff"].build(path)
    monkeypatch.setattr(TiffPage, "asarray", refuse)
    with pytest.raises(
        ImageError, match=r"32-bit float RGB TIFF .compression NONE. needs a package more"
    ):
        read_image(path)


def test_reading_in_threads_leaves_everybodys_warnings_alone(tmp_path: Path) -> None:
    paths = []
    for number in range(40):
        paths.append(tmp_path / f"{number}.png")
        CASES["gray-2-transparent.png"].build(paths[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(decode, paths))
        left = [f for f in warnings.filters if f[0] == "ignore" and f[1] is None and f[3] is None]
        assert not [f for f in left if f[2] is Warning]


def test_what_was_misread_once_is_another_picture_now(tmp_path: Path) -> None:
    """Jobs and targets that earlier versions made of such files are made anew, and no others."""
    misread = ("rgb-16-planes.tiff", "gray-float.tiff", "turned-6.tiff", "gray-16-transparent.png")
    as_before = ("rgb-16.tiff", "pages.tiff", "text-3-mb.png", "no-end.jpg")
    for name in (*misread, *as_before):
        path = tmp_path / name
        CASES[name].build(path)
        mark = ":2" if name in misread else ""
        assert read_identity(path) == file_sha256(path) + mark, name
    damaged = tmp_path / "d.tiff"
    damaged.write_bytes(b"II*\0" + bytes(3))
    assert read_identity(damaged) == file_sha256(damaged)


def test_what_may_not_be_read_is_no_wrong_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "closed.png"
    CASES["text-3-mb.png"].build(path)

    def refuse(*given: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("PIL.Image.open", refuse)
    for read in (check_header, read_size, decode, read_profile):
        with pytest.raises(ImageError, match=r"closed\.png: cannot be read \(Permission denied\)"):
            read(path)


def test_colors_behind_half_transparency_are_their_own(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    image = Image.new("RGBA", (4, 1), (200, 0, 0, 128))
    image.putpixel((3, 0), (9, 9, 9, 0))
    image.save(path)
    decoded = decode(path, "white")
    assert decoded.image.getpixel((0, 0)) == (227, 127, 127)
    assert decoded.straight.getpixel((0, 0)) == (200, 0, 0)
    assert decoded.straight.getpixel((3, 0)) == decoded.image.getpixel((3, 0)) == (255, 255, 255)
