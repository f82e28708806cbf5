"""A content picture is read once, at the sizes that its batch asks for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from pipeline.pictures import decode
from pipeline.slot.contents import Content, read_content
from pipeline.slot.tensors import pixels_on

SIZES = ((40, 30), (80, 60))


def photo(path: Path, size: tuple[int, int] = (1280, 960), **saved: object) -> Path:
    """Smooth colors with a grain."""
    draw = np.random.default_rng(1)
    smooth = Image.fromarray(draw.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    grain = draw.integers(-6, 7, (size[1], size[0], 3))
    levels = np.asarray(smooth.resize(size, Image.Resampling.BICUBIC)) + grain
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(path, **saved)
    return path


def fitted(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(ImageOps.fit(image, size, Image.Resampling.LANCZOS))


def content(path: Path, gray: bool = False, **more: object) -> Content:
    given = {"sizes": SIZES, **more}
    return read_content(path, "white", gray, None, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("gray", [False, True])
def test_each_level_is_the_whole_picture_fitted(tmp_path: Path, gray: bool) -> None:
    path = photo(tmp_path / "c.jpg", quality=90)
    whole = Image.open(path)
    read = content(path, gray, sampled=True)
    working = whole.convert("L").convert("RGB") if gray else whole
    for size in SIZES:
        assert np.array_equal(read.level(*size, False).numpy(), fitted(working, size))
    assert np.array_equal(np.asarray(read.image), fitted(whole, SIZES[-1]))
    sample = read.sample.permute(1, 2, 0).numpy() * 255
    assert np.allclose(sample, fitted(whole, (256, 192)), atol=1e-3)
    assert read.size == whole.size


def test_a_mask_is_no_larger_than_what_was_decoded(tmp_path: Path) -> None:
    path, mask = photo(tmp_path / "c.jpg", (4000, 3000), quality=90), tmp_path / "m.png"
    levels = np.arange(683 * 512).reshape(512, 683) * 4 // (683 * 512)
    Image.fromarray(levels.astype(np.uint8)).save(mask)  # its ratio is off by rounding
    read = read_content(path, "white", False, mask, mask, sizes=SIZES, reduced=True)
    assert read.mask is not None and len(read.mask.names) == 4 and read.keep is not None
    largest = max(read.keep.width, *(region.width for region in read.mask.regions.values()))
    assert largest <= 683 and read.size == (4000, 3000)


@pytest.mark.parametrize("stretch", [False, True])
def test_masks_are_fitted_where_the_picture_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretch: bool
) -> None:
    path, mask = photo(tmp_path / "c.png", (200, 130)), tmp_path / "m.png"
    levels = np.random.default_rng(3).integers(0, 256, (130, 200), dtype=np.uint8)
    Image.fromarray(levels).save(mask)
    sizes = ((40, 30), (80, 60))
    read = read_content(path, "white", False, mask, mask, sizes=sizes, stretch=stretch)
    whole = read_content(path, "white", False, mask, mask)

    def never(*given: object) -> torch.Tensor:
        raise AssertionError("it was fitted")

    wanted = [(whole.guides_at(*size, stretch), whole.shares_at(*size, stretch)) for size in sizes]
    for name in ("guide_levels", "share_levels"):
        monkeypatch.setattr(f"pipeline.slot.contents.{name}", never)
    for size, (guides, shares) in zip(sizes, wanted, strict=True):
        found, kept = read.guides_at(*size, stretch), read.shares_at(*size, stretch)
        assert found is not None and guides is not None and torch.equal(found, guides)
        assert kept is not None and shares is not None and torch.equal(kept, shares)
        assert found.dtype == kept.dtype == torch.uint8 and found.shape == (2, *size[::-1])
        box = Image.fromarray(levels).resize(size, Image.Resampling.BOX)
        if stretch:  # else it is cropped, too
            assert np.array_equal(kept.numpy(), np.asarray(box))
    with pytest.raises(AssertionError, match="it was fitted"):
        read.guides_at(20, 15, stretch)
    assert replace(read, mask=None).guides_at(*sizes[0], stretch) is None
    assert replace(read, keep=None).shares_at(*sizes[0], stretch) is None


def test_a_stretched_level_is_not_cropped(tmp_path: Path) -> None:
    path = photo(tmp_path / "c.png", (200, 100))
    read = content(path, sizes=((50, 50),), stretch=True)
    squeezed = Image.open(path).resize((50, 50), Image.Resampling.LANCZOS)
    assert np.array_equal(read.level(50, 50, True).numpy(), np.asarray(squeezed))


def test_the_whole_picture_is_not_kept(tmp_path: Path) -> None:
    read = content(photo(tmp_path / "c.jpg"))
    assert read.image.size == read.working.size == SIZES[-1]


def test_without_sizes_all_pixels_are_there(tmp_path: Path) -> None:
    path = photo(tmp_path / "c.png", (90, 60))
    read = read_content(path, "white", False, None)
    assert read.image.size == read.size == (90, 60)
    assert np.array_equal(read.level(45, 30, False).numpy(), fitted(Image.open(path), (45, 30)))


@pytest.mark.parametrize("name", ["c.jpg", "c.png"])
def test_a_reduced_picture_ends_within_some_levels(tmp_path: Path, name: str) -> None:
    path = photo(tmp_path / name)
    whole, reduced = content(path), content(path, reduced=True)
    for size in SIZES:
        apart = (whole.level(*size, False).int() - reduced.level(*size, False).int()).abs()
        assert 0 < apart.float().mean() < 1 and apart.max() <= 4
    assert reduced.size == whole.size == (1280, 960)


def test_no_more_of_a_jpeg_is_decoded_than_is_needed(tmp_path: Path) -> None:
    path = photo(tmp_path / "c.jpg")
    assert decode(path, wanted=(80, 60)).image.size == (320, 240)  # a quarter: 4 times as large
    assert decode(path, wanted=(200, 150)).image.size == (640, 480)
    for much in ((400, 300), (80, 400)):
        assert decode(path, wanted=much).image.size == decode(path).image.size


def test_a_turned_jpeg_is_reduced_by_its_own_sides(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = photo(tmp_path / "c.jpg", exif=exif)
    read = decode(path, wanted=(60, 80))
    assert read.image.size == (240, 320) and read.size == (960, 1280)
    assert decode(path, wanted=(120, 80)).image.size == (480, 640)  # of its width there is less


def test_transparency_is_reduced_with_its_picture(tmp_path: Path) -> None:
    Image.new("RGBA", (600, 600), (255, 0, 0, 128)).save(tmp_path / "c.png")
    read = decode(tmp_path / "c.png", wanted=(20, 20))
    assert read.alpha is not None
    assert read.image.size == read.straight.size == read.alpha.size == (120, 120)


def test_a_cut_jpeg_is_still_an_error(tmp_path: Path) -> None:
    path = photo(tmp_path / "c.jpg")
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(Exception, match=r"c.jpg: damaged or truncated picture"):
        decode(path, wanted=(80, 60))


def test_a_reduced_jpeg_may_lack_its_end_marker(tmp_path: Path) -> None:
    path = photo(tmp_path / "c.jpg")
    path.write_bytes(path.read_bytes()[:-2])
    read = decode(path, wanted=(80, 60))
    assert read.image.size == (320, 240) and read.size == (1280, 960)
    assert [notice.code for notice in read.notices] == ["no_end_marker"]


def test_pixels_become_numbers_on_the_device() -> None:
    levels = [torch.randint(0, 256, (5, 7, 3), dtype=torch.uint8) for _ in range(2)]
    pixels = pixels_on("cpu", levels)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(pixels, torch.stack(levels).permute(0, 3, 1, 2).float() / 255)
