"""`nst` from Python: one pair of pictures, a manifest, and its records."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_run import small_run
from PIL import Image

from pipeline import load_manifest, records, run_batch, run_batch_file, stylize_pair
from pipeline.errors import ImageError, ManifestError, RunFolderError, WorkerError

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


def test_records_of_no_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no such run folder"):
        records(tmp_path / "nowhere")


def test_records_are_flat_dicts(tmp_path: Path, picture: Callable[..., Path]) -> None:
    rows = list(records(small_run(tmp_path / "run", picture)))
    assert len(rows) == 7
    row = next(r for r in rows if r["name"] == "a__red__style_weight-10.0")
    assert row["style_weight"] == row["settings.style_weight"] == 10
    assert row["loss.style"] == pytest.approx(1 / 20) and row["seconds"] == 2.5
    assert Path(row["image"]).exists()


def test_a_pair_may_be_paths_images_arrays_or_tensors(picture: Callable[..., Path]) -> None:
    content, style = picture("a.png", 1), picture("s.png", 2)
    levels = np.asarray(Image.open(content))
    tensor = torch.from_numpy(levels.copy()).permute(2, 0, 1)
    forms: list[Any] = [str(content), content, Image.open(content), levels, levels / 255, tensor]
    forms += [tensor[None] / 255, (tensor / 255).double()]
    first, *others = (
        np.asarray(stylize_pair(form, style, devices="cpu", **QUICK)) for form in forms
    )
    assert all(np.array_equal(first, other) for other in others)
    gray = np.asarray(stylize_pair(levels[..., 0], style, devices="cpu", **QUICK))
    one = np.asarray(stylize_pair(levels[..., :1], style, devices="cpu", **QUICK))
    assert np.array_equal(gray, one) and not np.array_equal(gray, first)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((8, 8, 2), np.uint8), r"shape \(8, 8, 2\) is none of a picture"),
        (torch.zeros(2, 3, 8, 8), r"shape \(2, 3, 8, 8\) is none of a picture"),
        (np.full((8, 8, 3), 3.0), "numbers 3 to 3: 0..1 are needed"),
        (np.full((8, 8, 3), np.nan), "float64 values"),
        (np.zeros((8, 8, 3), np.int64), "int64 values"),
        (np.zeros((0, 8, 3), np.uint8), "an empty array is no picture"),
        (7, "a int is no picture"),
    ],
)
def test_what_is_no_picture_is_told(wrong: Any, said: str, picture: Callable[..., Path]) -> None:
    with pytest.raises(ImageError, match=said):
        stylize_pair(wrong, picture("s.png"), devices="cpu", **QUICK)


def test_masks_say_where_and_the_record_comes_along(picture: Callable[..., Path]) -> None:
    content, style = picture("a.png", 1), picture("s.png", 2)
    half = np.zeros((56, 72, 3), np.uint8)
    half[:, 36:] = 255
    plain = stylize_pair(content, style, devices="cpu", **QUICK)
    made, record = stylize_pair(
        content, style, devices="cpu", mask=half, style_mask=half[:, ::-1].copy(),
        with_record=True, **QUICK,
    )  # fmt: skip
    assert not np.array_equal(np.asarray(made), np.asarray(plain))
    assert [point["step"] for point in record["losses"]][-1] == 3
    assert record["settings"]["size"] == 48 and record["content"]["mask"]
    same = stylize_pair(content, style, devices="cpu", keep=half[..., 0] > 0, **QUICK)
    kept = stylize_pair(content, style, devices="cpu", keep=half[..., 0], **QUICK)
    assert np.array_equal(np.asarray(kept), np.asarray(same))
    with pytest.raises(ManifestError, match="style_mask: says nothing without mask"):
        stylize_pair(content, style, devices="cpu", style_mask=half, **QUICK)
    assert not np.array_equal(np.asarray(kept), np.asarray(plain))


@pytest.mark.parametrize("which", ["mask", "style_mask", "keep"])
def test_a_mask_of_another_shape_is_refused_by_its_argument(
    picture: Callable[..., Path], which: str
) -> None:
    content = np.asarray(Image.open(picture("a.png", 1)))
    masks = {"mask": np.ones((56, 72), bool)} if which == "style_mask" else {}
    masks |= {which: np.ones((72, 56), bool)}
    its = "style" if which == "style_mask" else "content"
    with pytest.raises(
        WorkerError,
        match=rf"could not be made: {which}: is 56 x 72 px, but its picture {its} is 72 x 56 px",
    ):
        stylize_pair(content, content, devices="cpu", **masks, **QUICK)


@pytest.mark.parametrize("argument", ["content", "style", "mask"])
def test_a_file_of_the_callers_is_named_as_it_is(
    tmp_path: Path, picture: Callable[..., Path], argument: str
) -> None:
    """Also where it is called as an argument is, beside others that are no files."""
    image = Image.open(picture("a.png", 1))
    other = tmp_path / f"nowhere/{argument}.png"
    given = {"content": image, "style": image, "mask": np.ones((56, 72), bool)} | {argument: other}
    with pytest.raises((ImageError, ManifestError, WorkerError), match=re.escape(str(other))):
        stylize_pair(**given, devices="cpu", **QUICK)  # type: ignore[call-overload]


def test_a_picture_that_is_none_is_named_by_its_argument(picture: Callable[..., Path]) -> None:
    with pytest.raises(ImageError, match=r"^mask: shape \(3,\) is none of a picture"):
        stylize_pair(
            picture("a.png"), picture("s.png"), devices="cpu", mask=np.zeros(3, np.uint8), **QUICK
        )


@pytest.fixture
def pair(
    tmp_path: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A manifest of two jobs and one that fails, as a dict; paths are relative to where we are."""
    picture("c/a.png", 1), picture("c/b.png", 3), picture("s.png", 2)
    (tmp_path / "c/x.png").write_bytes(picture("d.png").read_bytes()[:300])
    monkeypatch.chdir(tmp_path)
    settings = {"size": 48, "steps": 2, "scale_start": 0, "style_layers": ("conv1_1", "conv2_1")}
    return {
        "output": "run", "content": [Path("c")], "style": "s.png", "backbone": "lite",
        "settings": settings,
    }  # fmt: skip


def test_a_manifest_may_be_a_dict_and_its_records_are_told(
    tmp_path: Path, pair: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = []
    seen: list[tuple[int, int, int]] = []
    summary = run_batch(
        pair, "cpu", True, on_record=rows.append, progress=lambda *given: seen.append(given)
    )
    assert (summary.done, summary.failed) == (2, 1)
    assert sorted(row["name"] for row in rows) == ["a.png__s", "b.png__s"]
    assert rows == sorted(
        records(tmp_path / "run"), key=lambda r: [x["name"] for x in rows].index(r["name"])
    )
    assert seen[-1] == (2, 1, 3)
    assert "x.png" in capsys.readouterr().err  # what fails is still said
    rows.clear()
    again = run_batch(load_manifest(pair), "cpu", True, on_record=rows.append)
    assert (again.done, again.already_done, rows) == (0, 2, [])


def test_a_dict_that_is_no_manifest_is_told(pair: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"made in Python:.*stepps"):
        run_batch(pair | {"settings": {"stepps": 2}})
    with pytest.raises(ManifestError, match="a value that YAML does not have"):
        run_batch(pair | {"settings": {"steps": object()}})
    with pytest.raises(ManifestError, match="on_record: not of a run into tar shards"):
        shards = pair | {"output": {"path": "run", "format": "webdataset"}}
        run_batch(shards, on_record=print)


def test_what_a_function_of_ones_own_raises_ends_the_run_which_can_go_on(
    pair: dict[str, Any], tmp_path: Path
) -> None:
    def stop(row: dict[str, Any]) -> None:
        raise KeyError(row["name"])

    with pytest.raises(KeyError):
        run_batch(pair, "cpu", True, on_record=stop)
    assert run_batch(pair, "cpu", True).exit_code == 1
    assert len(list(records(tmp_path / "run"))) == 2
