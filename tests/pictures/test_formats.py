"""Which files are pictures, and how they are opened."""

import struct
import warnings
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import ImageError
from pipeline.pictures import is_image_name, opened
from pipeline.pictures.formats import DAMAGED, SUFFIXES, open_file


def test_suffixes_count_in_either_case() -> None:
    assert is_image_name(Path("a.JPG")) and is_image_name(Path("b.tiff"))
    assert not is_image_name(Path("a.txt")) and not is_image_name(Path("png"))


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_pillow_knows_every_suffix(suffix: str) -> None:
    assert Image.registered_extensions()[suffix] in Image.OPEN


@pytest.mark.parametrize("error", [*DAMAGED, struct.error])
def test_what_goes_wrong_within_the_block_names_the_picture(
    tmp_path: Path, error: type[Exception]
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(ImageError, match=r"a.png: cannot be read \(broken\)"), opened(path):
        raise error("broken")


def test_half_of_pillows_limit_is_no_reason_to_warn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (15, 10)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_file(tmp_path / "a.png") as file:
            assert file.size == (15, 10)
