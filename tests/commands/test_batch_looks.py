"""What a manifest can ask of the look: colors, regions, blends, frames, depth."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from batches import HEAD, INLINE, records, write
from PIL import ExifTags, Image, ImageCms

from pipeline.commands import batch_manifest, clean_run

MANIFEST = """
output: run
content: content
style: style
backbone: lite
settings: {size: 48, steps: 6, scale_start: 0}
grid:
  style_weight: [1e0, 1_0]
"""


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("content/a.png", 1)
    picture("content/deep/b.jpg", 2)
    picture("style/s.png", 3)
    picture("style/t.png", 4)
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST)
    return path


def shown_ms(image: Image.Image) -> int:
    """How long an animation is; WebP joins frames that are nearly the same."""
    total = 0
    for number in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        image.load()
        total += image.info["duration"]
    return total


def test_frames_and_animations_are_kept_and_cleaned(manifest: Path) -> None:
    run = write(
        manifest,
        f"{HEAD}settings: {{size: 48, steps: 10, scale_start: 32, animation: webp}}\n"
        "grid: {save_every: [0, 4], color: [style, original_colors]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    found = records(run)
    assert len(found) == 16
    for record in found.values():
        every = record["settings"]["save_every"]
        frames = sorted(path.stem for path in (run / "frames" / record["name"]).glob("*"))
        assert frames == (["000004", "000008"] if every else [])
        with Image.open(run / record["animation"]) as image:
            assert shown_ms(image) == 80 * (2 if every else 10) + 2000
            assert image.size == tuple(record["output"]["size"])
    clean_run(run)
    assert not (run / "frames").exists() and len(records(run)) == 16
    assert len(list((run / "animations").rglob("*.webp"))) == 16


def luma(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L")).astype(float)


def test_color_modes_keep_the_contents_chroma(manifest: Path) -> None:
    run = write(
        manifest,
        f"{HEAD}settings: {{size: 72, steps: 15}}\n"
        "grid: {color: [style, preserve_luminance, preserve_histogram, original_colors]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    content = np.asarray(Image.open(manifest.parent / "content/a.png").convert("YCbCr")).astype(
        float
    )
    for record in records(run).values():
        if record["content"]["path"].endswith("a.png"):
            path = run / record["output"]["path"]
            made = np.asarray(Image.open(path).convert("YCbCr")).astype(float)
            away = np.median(abs(made - content)[..., 1:])
            color = record["settings"]["color"]
            kept = color in ("preserve_luminance", "original_colors")
            assert (away <= 1) == kept, (color, away)
            assert abs(luma(path) - content[..., 0]).mean() > 2  # it is stylized


def test_only_the_white_region_is_stylized(manifest: Path) -> None:
    folder = manifest.parent
    half = np.zeros((56, 72), np.uint8)
    half[:, :24] = 255
    Image.fromarray(half).save(folder / "content/a_mask.png")
    Image.fromarray(half[:, ::-1].copy()).save(folder / "content/deep/b_mask.png")
    run = write(
        manifest,
        f"{HEAD}masks: {{content: '{{stem}}_mask.png'}}\n"
        "settings: {size: 72, steps: 20, scale_start: 0, tv_weight: 0, style_weight: 30,\n"
        "  style_layers: [conv1_1, conv2_1], content_layers: [conv1_1]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    found = records(run)
    assert len(found) == 4  # masks are no content pictures
    before = np.asarray(Image.open(folder / "content/a.png").convert("RGB")).astype(float)
    for name in ("a.png__s", "a.png__t"):
        change = abs(np.asarray(Image.open(run / "images" / f"{name}.png")) - before).mean((0, 2))
        assert change[:24].mean() > 8 * change[48:].mean()


def test_each_region_takes_its_own_style(manifest: Path, picture: Callable[..., Path]) -> None:
    folder = manifest.parent
    half = np.zeros((56, 72), np.uint8)
    half[:, :36] = 255
    Image.fromarray(half).save(folder / "a.mask.png")
    for color in ("red", "blue"):
        Image.new("RGB", (64, 64), color).save(folder / f"{color}.png")
    picture("a.png", 1)
    run = write(
        manifest,
        "output: run\ncontent: a.png\nbackbone: lite\nmasks: {content: '{stem}.mask.png'}\n"
        "style: [{name: two, regions: {white: red.png, black: blue.png}}]\n"
        "settings: {size: 72, steps: 40, style_weight: 50, content_weight: 0.1,\n"
        "  style_layers: [conv1_1, conv2_1]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    made = np.asarray(Image.open(run / "images/a.png__two.png")).astype(float)
    left, right = made[:, :24].mean((0, 1)), made[:, 48:].mean((0, 1))
    assert left[0] > left[2] + 60 and right[2] > right[0] + 60
    (record,) = records(run).values()
    assert [p["region"] for p in record["style"]["pictures"]] == ["#ffffff", "#000000"]


def test_blends_go_from_one_style_to_the_other(manifest: Path) -> None:
    folder = manifest.parent
    for color in ("red", "blue"):
        Image.new("RGB", (64, 64), color).save(folder / f"{color}.png")
    run = write(
        manifest,
        "output: run\ncontent: content/a.png\nbackbone: lite\n"
        "style: [{name: mix, blend: {red.png: 1, blue.png: 1}}]\n"
        "settings: {size: 48, steps: 40, style_weight: 50, style_layers: [conv1_1]}\n"
        "grid: {blend: [[1, 0], [1, 1], [0, 5]]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    reds = []
    for label in ("1+0", "1+1", "0+5"):
        record = records(run)[f"a.png__mix__blend-{label}.json"]
        made = np.asarray(Image.open(run / record["output"]["path"])).astype(float).mean((0, 1))
        reds.append(made[0] - made[2])
    assert reds[0] > reds[1] + 20 > reds[2] + 40
    assert [p["weight"] for p in record["style"]["pictures"]] == [0, 1]


def test_pictures_keep_depth_profile_and_exif(manifest: Path) -> None:
    folder = manifest.parent
    exif, profile = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[ExifTags.Base.Artist] = "someone"
    with Image.open(folder / "content/a.png") as image:
        image.save(folder / "content/a.jpg", exif=exif, icc_profile=profile)
    head = "content: content/a.jpg\nstyle: style/s.png\nbackbone: lite\n"
    run = write(
        manifest,
        f"output: run\n{head}settings: {{size: 48, steps: 2, exif: true, profile: content}}\n"
        "grid: {format: [png, jpg]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    for record in records(run).values():
        with Image.open(run / record["output"]["path"]) as image:
            assert image.getexif()[ExifTags.Base.Artist] == "someone"
            assert image.info["icc_profile"] == profile
    run = write(
        manifest,
        f"output: deep\n{head}settings: {{size: 48, steps: 2, depth: 16}}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    data = (folder / "deep/images/a.jpg__s.png").read_bytes()
    assert data[24] == 16 and data[25] == 2  # bit depth, and RGB
