"""Layouts that decoders disagree on: what is read is what was written, or is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from odd_pictures import odd_pictures

from pipeline.errors import ImageError
from pipeline.pictures import check_header, decode, read_image, read_profile, read_size

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
    with pytest.raises(ImageError, match=r"32-bit float RGB TIFF .compression NONE. is not"):
        read_image(path)
