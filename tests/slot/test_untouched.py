"""What a mask leaves as it is: the picture's own pixels, with a soft edge beside them."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from batches import INLINE, Said, records, summary
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.commands import run_manifest
from pipeline.manifest import load_manifest
from pipeline.pictures import Mask
from pipeline.slot.untouched import soft_edge, styled_share

HEAD = (
    "output: run\ncontent: a.png\nstyle: {style}\nbackbone: lite\n"
    "masks: {{content: '{{stem}}_mask.png'}}\n"
    "settings: {{preset: classic, size: 48, steps: 3, scale_start: 0, warmup: 0{more}}}\n"
)


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for seed, name in enumerate(("a.png", "s.png", "t.png")):
        picture(name, seed, (96, 72))
    return tmp_path


def levels(path: Path, values: Sequence[int], size: tuple[int, int] = (96, 72)) -> None:
    """A gray mask of equal columns."""
    row = np.array([values], dtype=np.uint8)
    Image.fromarray(row).resize(size, Image.Resampling.NEAREST).save(path)


def made(folder: Path, style: str = "s.png", more: str = "") -> np.ndarray:
    (folder / "m.yaml").write_text(HEAD.format(style=style, more=more))
    done = run_manifest(load_manifest(folder / "m.yaml"), INLINE, Said())
    assert (done.done, done.failed) == (1, 0), (folder / "run/failures.jsonl").read_text()
    (path,) = (folder / "run/images").glob("a.png__*.png")
    return np.asarray(Image.open(path).convert("RGB"))


def resized(folder: Path) -> np.ndarray:
    return np.asarray(Image.open(folder / "a.png").resize((48, 36), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("color", ["style", "preserve_luminance", "original_colors"])
def test_black_stays_as_it_is_bit_for_bit(folder: Path, color: str) -> None:
    levels(folder / "a_mask.png", [0, 255])
    left, own = made(folder, more=f", color: {color}"), resized(folder)
    assert np.array_equal(left[:, :24], own[:, :24])
    assert (left[:, 30:] != own[:, 30:]).mean() > 0.5


def test_the_edge_is_soft_and_within_what_is_stylized(folder: Path) -> None:
    levels(folder / "a_mask.png", [0, 255])
    hard, own = made(folder, more=", mask_edge: 0").astype(float), resized(folder).astype(float)
    soft = made(folder, more=", mask_edge: 3").astype(float)
    assert np.array_equal(hard[:, 27:], soft[:, 27:])
    for place, share in ((24, 1 / 4), (25, 2 / 4), (26, 3 / 4)):
        wanted = own[:, place] + share * (hard[:, place] - own[:, place])
        assert abs(soft[:, place] - wanted).max() <= 1


def test_a_mask_that_is_styled_all_over_changes_no_pixel(folder: Path) -> None:
    levels(folder / "a_mask.png", [0, 90, 255])
    both = "{name: both, regions: {white: s.png, black: t.png}}"
    pictures = [made(folder, both, f", mask_edge: {edge}") for edge in (0, 8)]
    assert np.array_equal(*pictures)


def test_named_levels_are_regions(folder: Path) -> None:
    levels(folder / "a_mask.png", [0, 1, 2])
    style = "{name: two, regions: {0: s.png, 2: t.png}}"
    found, own = made(folder, style), resized(folder)
    assert np.array_equal(found[:, 17:31], own[:, 17:31])  # 1 has no style
    assert (found[:, :12] != own[:, :12]).mean() > 0.5
    assert (found[:, 36:] != own[:, 36:]).mean() > 0.5


def test_a_named_region_that_is_not_there_is_said(folder: Path) -> None:
    Image.new("RGB", (96, 72), "blue").save(folder / "a_mask.png")
    made(folder, "{name: two, regions: {blue: s.png, red: t.png}}")
    (record,) = records(folder / "run").values()
    (warned,) = record["warnings"]
    assert warned["code"] == "no_such_region"
    assert "a_mask.png: has no region #ff0000 of style two" in warned["text"]
    assert summary(folder / "run")["warnings"] == {"no_such_region": 1}


def test_gray_black_all_over_has_no_white(folder: Path) -> None:
    levels(folder / "a_mask.png", [0])
    style = "{name: two, regions: {white: s.png, black: t.png}}"
    made(folder, style)
    (record,) = records(folder / "run").values()
    assert [warned["code"] for warned in record["warnings"]] == ["no_such_region"]


def test_a_smaller_mask_of_nearly_the_shape_is_not_shifted(
    folder: Path, picture: Callable[..., Path]
) -> None:
    picture("a.png", 1, (400, 300))
    levels(folder / "a_mask.png", [0, 255], (10, 7))  # 8% taller than 4:3 would be, by rounding
    (folder / "m.yaml").write_text(HEAD.format(style="s.png", more=", fit: short"))
    left = made(folder, more=", fit: short")
    own = np.asarray(Image.open(folder / "a.png").resize((64, 48), Image.Resampling.LANCZOS))
    assert np.array_equal(left[:, :32], own[:, :32]) and not np.array_equal(left[:, 37], own[:, 37])


@pytest.mark.parametrize("which", ["content", "style"])
def test_a_mask_of_another_shape_is_refused(folder: Path, which: str) -> None:
    levels(folder / "a_mask.png", [0, 255], (96, 72) if which == "style" else (72, 96))
    levels(folder / "s_mask.png", [0, 255], (72, 96) if which == "style" else (96, 72))
    text = (
        HEAD.format(style="s.png", more="")
        .replace("}'", "}'")
        .replace("_mask.png'}", "_mask.png', style: '{stem}_mask.png'}")
    )
    (folder / "m.yaml").write_text(text)
    assert run_manifest(load_manifest(folder / "m.yaml"), INLINE, Said()).failed == 1
    failure = (folder / "run/failures.jsonl").read_text()
    name, its = ("s_mask.png", "s.png") if which == "style" else ("a_mask.png", "a.png")
    assert f"{name}: is 72 x 96 px, but its picture {its} is 96 x 72 px" in failure


def test_frames_on_the_way_are_left_so_too(folder: Path) -> None:
    levels(folder / "a_mask.png", [0, 255])
    made(folder, more=", save_every: 1")
    frames = sorted((folder / "run/frames").rglob("*.jpg"))
    assert frames
    for frame in frames:
        left = np.asarray(Image.open(frame)).astype(int)
        assert abs(left[:, :16] - resized(folder)[:, :16]).mean() < 4  # JPEG


@given(
    share=st.lists(st.lists(st.integers(0, 255), min_size=6, max_size=6), min_size=4, max_size=4),
    width=st.integers(0, 5),
)
def test_an_edge_is_the_mean_of_what_is_least_around(share: list[list[int]], width: int) -> None:
    styled = torch.tensor(share, dtype=torch.float32) / 255
    soft = soft_edge(styled, width)
    for y, x in itertools.product(range(4), range(6)):
        least = [
            styled[max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1].min()
            for r in range(width + 1)
        ]
        assert float(soft[y, x]) == pytest.approx(float(sum(least)) / (width + 1), abs=1e-6)
    assert not soft[styled == 0].any()


def test_several_regions_left_add_up() -> None:
    one = Image.fromarray(np.array([[255, 0, 0]], dtype=np.uint8))
    two = Image.fromarray(np.array([[0, 255, 0]], dtype=np.uint8))
    three = Image.fromarray(np.array([[0, 0, 255]], dtype=np.uint8))
    mask = Mask({"#000000": one, "#0000ff": two, "#ff0000": three})
    share = styled_share(mask, (0.0, 0.0, 1.0), 3, 1, False)
    assert share is not None and share.tolist() == [[0.0, 0.0, 1.0]]
    assert styled_share(mask, (1 / 3, 1 / 3, 1 / 3), 3, 1, False) is None
