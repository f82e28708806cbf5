"""`nst` from Python: one pair of pictures, a manifest, and its records."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_run import small_run
from PIL import Image

from pipeline import records, run_batch_file, stylize_pair
from pipeline.errors import ManifestError

QUICK = {"size": 48, "steps": 3, "scale_start": 0}


def test_a_pair_becomes_a_picture_of_the_size_asked_for(picture: Callable[..., Path]) -> None:
    content, style = Image.open(picture("a.png", 1)), Image.open(picture("s.png", 2))
    made = stylize_pair(content, style, devices="cpu", **QUICK)
    assert made.mode == "RGB" and made.size == (48, 37)
    again = stylize_pair(content, style, devices="cpu", **QUICK)
    assert np.array_equal(np.asarray(made), np.asarray(again))
    alpha = content.convert("RGBA")
    alpha.putalpha(0)
    white = np.asarray(stylize_pair(alpha, style, devices="cpu", **QUICK, content_weight=100))
    assert white.mean() > np.asarray(made).mean() + 20  # transparent lies on white


def test_transparency_is_kept_where_that_is_asked_for(picture: Callable[..., Path]) -> None:
    content, style = Image.open(picture("c.png", 1)).convert("RGBA"), Image.open(picture("s.png"))
    content.paste((0, 0, 0, 0), (0, 0, 36, 56))
    made = stylize_pair(content, style, devices="cpu", alpha="keep", **QUICK)
    alpha = np.asarray(made.getchannel("A"))
    assert made.size == (48, 37) and (alpha[:, :23] == 0).all() and (alpha[:, 25:] == 255).all()
    assert stylize_pair(content, style, devices="cpu", **QUICK).mode == "RGB"
    palette = stylize_pair(content.quantize(8), style, devices="cpu", alpha="keep", **QUICK)
    assert palette.mode == "RGBA" and np.asarray(palette.getchannel("A"))[5, 5] == 0


def test_unknown_settings_are_named(picture: Callable[..., Path]) -> None:
    image = Image.open(picture("a.png"))
    with pytest.raises(ManifestError, match="did you mean 'steps'"):
        stylize_pair(image, image, stepps=3)


def test_a_manifest_and_its_records(tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture("a.png", 1), picture("s.png", 2)
    text = "output: run\ncontent: a.png\nstyle: s.png\nbackbone: lite\n"
    text += "settings: {size: 48, steps: 2}\ngrid: {seed: [0, 1]}\n"
    (tmp_path / "m.yaml").write_text(text)
    summary = run_batch_file(tmp_path / "m.yaml", devices="cpu", quiet=True)
    assert (summary.done, summary.failed, summary.exit_code) == (2, 0, 0)
    rows = list(records(tmp_path / "run"))
    assert sorted(row["seed"] for row in rows) == [0, 1]
    assert all(row["loss.total"] > 0 and Path(row["image"]).exists() for row in rows)


def test_records_are_flat_dicts(tmp_path: Path, picture: Callable[..., Path]) -> None:
    rows = list(records(small_run(tmp_path / "run", picture)))
    assert len(rows) == 7
    row = next(r for r in rows if r["name"] == "a__red__style_weight-10.0")
    assert row["style_weight"] == row["settings.style_weight"] == 10
    assert row["loss.style"] == pytest.approx(1 / 20) and row["seconds"] == 2.5
    assert Path(row["image"]).exists()
