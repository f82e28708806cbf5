"""From a picture back: what it says of itself, and the same picture made again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from batches import INLINE, records
from clips import moving, write_frames
from PIL import Image

from pipeline.commands import (
    Changes,
    PairRequest,
    batch_manifest,
    make_again,
    run_pair,
    show_picture,
    show_plan,
)
from pipeline.errors import ImageError, ManifestError, WeightsError
from pipeline.pictures import file_sha256, read_text

Capture = pytest.CaptureFixture[str]
Picture = Callable[..., Path]
TINY = {"size": 48, "steps": 3, "scale_start": 0}


def pixels(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def made(tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture by `nst run`, and a current folder of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    pair = (picture("in/c.png", 1), picture("in/s.png", 2))
    out = tmp_path / "out.png"
    assert run_pair(PairRequest(*pair, out, {**TINY, "seed": 7}, "lite"), INLINE, quiet=True) == 0
    return out


@pytest.fixture
def alone(made: Path, tmp_path: Path) -> Path:
    """The picture without its record, elsewhere."""
    (tmp_path / "far").mkdir()
    shutil.copy(made, tmp_path / "far/x.png")
    made.with_suffix(".json").unlink()
    return tmp_path / "far/x.png"


def test_a_picture_says_how_it_was_made(made: Path, tmp_path: Path, capsys: Capture) -> None:
    assert show_picture(made, as_json=False) == 0
    said = capsys.readouterr().out
    content = tmp_path / "in/c.png"
    assert f"content     {content}, 72 x 56 px, SHA-256 {file_sha256(content)}" in said
    assert "preset      default, version 5" in said and "seed        7\n" in said
    settings = said[said.index("settings ") : said.index("losses ")].split("\n")
    assert [row[12:] for row in settings if row] == ["size: 48", "scale_start: 0", "steps: 3"]
    assert "backbone    lite, digest" in said and f"nst again {made}" in said


def test_its_text_names_files_and_no_folders(alone: Path, tmp_path: Path, capsys: Capture) -> None:
    assert str(tmp_path) not in str(read_text(alone))
    show_picture(alone, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["content"]["path"] == "c.png"
    assert found["content"]["sha256"] == file_sha256(tmp_path / "in/c.png")
    assert found["style"]["pictures"][0]["sha256"] == file_sha256(tmp_path / "in/s.png")


def test_the_same_picture_again(made: Path, capsys: Capture) -> None:
    assert make_again(made, None, Changes(), INLINE) == 0
    again = Path("out-again.png")
    assert np.array_equal(pixels(again), pixels(made))
    assert "not the same job" not in capsys.readouterr().err
    assert make_again(made, None, Changes(["size=44", "strength=strong"]), INLINE, quiet=True) == 0
    record = json.loads(Path("out-again-2.json").read_text())
    assert record["output"]["size"] == [44, 34]
    assert record["settings"]["content_weight"] == 0.5 and record["settings"]["seed"] == 7


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_every_format_holds_what_is_needed(
    made: Path, tmp_path: Path, suffix: str, capsys: Capture
) -> None:
    other = tmp_path / f"other.{suffix}"
    assert make_again(made, other, Changes(), INLINE, quiet=True) == 0
    other.with_suffix(".json").unlink()
    looked = Changes(folders=[tmp_path / "in"])
    assert make_again(other, tmp_path / "back.png", looked, INLINE, quiet=True) == 0
    assert np.array_equal(pixels(tmp_path / "back.png"), pixels(made))
    capsys.readouterr()


def test_inputs_are_looked_for_by_their_bytes(alone: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as told:
        make_again(alone, None, Changes(), INLINE)
    assert [line.split(" (SHA")[0] for line in told.value.problems] == [
        f"{alone}: content c.png", f"{alone}: style s.png"
    ]  # fmt: skip
    assert "--inputs FOLDER says where to look" in str(told.value)
    (tmp_path / "in/c.png").rename(tmp_path / "in/renamed.png")
    changes = Changes(folders=[tmp_path / "in"])
    assert make_again(alone, None, changes, INLINE, quiet=True) == 0
    assert np.array_equal(pixels(Path("x-again.png")), pixels(alone))
    with pytest.raises(ManifestError, match="nowhere: cannot be read"):
        make_again(alone, None, Changes(folders=[tmp_path / "nowhere"]), INLINE)


RUN = """output: run
content: photos
style: [{name: two, blend: {style/a.png: 3, style/b.png: 1}}]
masks: {content: "{stem}_mask.png"}
backbone: lite
settings: {size: 48, steps: 2, scale_start: 0}
grid: {seed: [4, 5]}
"""


@pytest.fixture
def batch(tmp_path: Path, picture: Picture) -> Path:
    """A run of two jobs with a mask and a blend."""
    picture("photos/c.png", 1), picture("style/a.png", 2), picture("style/b.png", 3)
    half = Image.new("L", (72, 56), 255)
    half.paste(0, (0, 0, 36, 56))
    half.save(tmp_path / "photos/c_mask.png")
    (tmp_path / "m.yaml").write_text(RUN)
    assert batch_manifest(tmp_path / "m.yaml", INLINE, quiet=True, with_report=False) == 0
    return tmp_path / "run/images/c.png__two__seed-5.png"


def test_masks_and_blends_of_a_run_that_moved_and_whose_photo_was_renamed(
    batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("photos", "style", "run", "m.yaml"):
        (tmp_path / name).rename(moved / name)
    (moved / "photos/c.png").rename(moved / "photos/d.png")
    (moved / "photos/c_mask.png").rename(moved / "photos/d_mask.png")
    here = moved / batch.relative_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert make_again(here, tmp_path / "x.png", Changes(), INLINE) == 0
    assert np.array_equal(pixels(tmp_path / "x.png"), pixels(here))
    assert "not the same job" not in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".png", ".json"])
def test_a_batch_of_one_goes_beside_the_run(batch: Path, tmp_path: Path, suffix: str) -> None:
    given = batch.with_suffix(suffix)
    assert show_plan(given, INLINE, as_json=True, measured=False) == 0
    for _ in range(2):
        assert batch_manifest(given, INLINE, quiet=True, with_report=False) == 0
    folder = tmp_path / f"{batch.stem}-again"
    (record,) = records(folder).values()
    assert record["key"] == json.loads(batch.with_suffix(".json").read_text())["key"]
    assert (folder / record["output"]["path"]).name == "c.png__two.png"
    assert "photos/c.png" in (folder / "manifest.yaml").read_text()


def test_a_manifest_may_be_json(tmp_path: Path, picture: Picture) -> None:
    picture("c.png"), picture("s.png")
    given = {"output": "run", "content": "c.png", "style": "s.png", "backbone": "lite"}
    (tmp_path / "m.json").write_text(json.dumps({**given, "settings": {**TINY, "steps": 1}}))
    assert batch_manifest(tmp_path / "m.json", INLINE, quiet=True, with_report=False) == 0


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"is a folder; name one picture or record in it"):
        show_picture(tmp_path, as_json=False)


def test_what_says_nothing_of_itself_is_told(tmp_path: Path, picture: Picture) -> None:
    path = picture("plain.png")
    message = r"plain.png: does not say how it was made: no text of nst in it, and no record"
    for act in (lambda: show_picture(path, as_json=False),
                lambda: make_again(path, None, Changes(), INLINE)):  # fmt: skip
        with pytest.raises(ImageError, match=message):
            act()
    with pytest.raises(ManifestError, match=rf"{message} .* nst run .*plain.png STYLE -o"):
        batch_manifest(path, INLINE)
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(ImageError, match=r"x.json: no record of a picture"):
        show_picture(tmp_path / "x.json", as_json=False)


def test_weights_that_are_not_there_are_told(made: Path) -> None:
    record = json.loads(made.with_suffix(".json").read_text())
    record["backbone"]["weights_sha256"] = "0" * 64
    made.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(WeightsError, match=r"made with weights of lite of digest 0000.* --weights"):
        make_again(made, None, Changes(), INLINE)
    record["backbone"] |= {"choice": "gone.pth", "name": "vgg19"}
    made.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(WeightsError, match=r"not found here \(.*gone.pth"):
        make_again(made, None, Changes(), INLINE)


def rewritten(path: Path, **changes: object) -> Path:
    """A picture whose record says something else."""
    file = path.with_suffix(".json")
    record = json.loads(file.read_text())
    for name, value in changes.items():
        record[name] = {**record[name], **value} if isinstance(value, dict) else value
    file.write_text(json.dumps(record))
    return path


def test_what_this_nst_does_not_know_is_told_and_still_shown(made: Path, capsys: Capture) -> None:
    with pytest.raises(ManifestError, match="preset default@9 is not one of this nst's"):
        make_again(rewritten(made, preset_version=9), None, Changes(), INLINE)
    show_picture(made, as_json=False)
    assert "version 9 (preset default@9 is not" in capsys.readouterr().out
    rewritten(made, preset_version=4, settings={"strength": "odd"})
    with pytest.raises(ManifestError, match="strength odd is not one of this nst's; take"):
        make_again(made, None, Changes(), INLINE)
    rewritten(made, settings={"brush": 3, "strength": None})
    with pytest.raises(ManifestError, match=r"made by [^:]*: brush: "):
        make_again(made, None, Changes(), INLINE)


def test_what_is_to_be_otherwise_is_checked_with_the_rest(made: Path) -> None:
    with pytest.raises(ManifestError, match="--set sise: unknown key"):
        make_again(made, None, Changes(["sise=3"]), INLINE)
    with pytest.raises(ManifestError, match="--set: size 64x48 with fit long does not go"):
        make_again(made, None, Changes(["size=64x48"]), INLINE)


def test_a_format_that_the_suffix_is_not_is_told(made: Path, tmp_path: Path) -> None:
    changes = Changes(settings=["format=jpg"])
    with pytest.raises(ManifestError, match=r"format jpg and .*x\.png do not go together"):
        make_again(made, tmp_path / "x.png", changes, INLINE, quiet=True)
    assert make_again(made, None, changes, INLINE, quiet=True) == 0
    with Image.open("out-again.jpg") as image:
        assert image.format == "JPEG"
    pair = PairRequest(
        tmp_path / "in/c.png", tmp_path / "in/s.png", tmp_path / "y.webp", {"format": "png"}, "lite"
    )
    with pytest.raises(ManifestError, match=r"format png and .*y\.webp do not go together"):
        run_pair(pair, INLINE, quiet=True)


def test_a_job_that_is_another_one_now_is_said(made: Path, capsys: Capture) -> None:
    rewritten(made, key="0" * 64)
    text = read_text(made)
    assert text is not None
    for algorithm, why in ((3, "other weights, or files"), (1, "made by version 1 of the algo")):
        path = rewritten(made, algorithm=algorithm).with_suffix(".json")
        assert make_again(path, None, Changes(), INLINE, quiet=True) == 0
        assert why in capsys.readouterr().err


def test_texts_of_older_versions_are_shown(tmp_path: Path, capsys: Capture) -> None:
    from PIL import PngImagePlugin

    chunk = PngImagePlugin.PngInfo()
    text = {"settings": {"optimiser": "adam", "size": 99}, "key": "k", "backbone": {"name": "lite"}}
    chunk.add_itxt("nst", json.dumps(text))
    path = tmp_path / "old.png"
    Image.new("RGB", (8, 8)).save(path, pnginfo=chunk)
    show_picture(path, as_json=False)
    said = capsys.readouterr().out
    assert "made by     an older nst" in said and "size: 99" in said and "again " not in said
    with pytest.raises(ManifestError, match=r"put its record, old.json, beside it"):
        make_again(path, None, Changes(), INLINE)


def test_a_clips_frame_is_shown_and_not_made_alone(tmp_path: Path, picture: Picture) -> None:
    pytest.importorskip("cv2"), pytest.importorskip("av")
    write_frames(tmp_path / "f", moving(2))
    picture("s.png")
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: f/%04d.png\nstyle: s.png\nbackbone: lite\n"
        "settings: {size: 48, steps: 1, clip_steps: 1, scale_start: 0}\n"
    )
    assert batch_manifest(tmp_path / "m.yaml", INLINE, quiet=True, with_report=False) == 0
    frame, second = sorted((tmp_path / "run/images").rglob("*.png"))
    clip = json.loads(str(read_text(second)))["clip"]
    assert (clip["path"], clip["video"], clip["before"]) == ("%04d.png", "f__s", "0001__s")
    assert show_picture(frame, as_json=False) == 0
    with pytest.raises(ManifestError, match=r"is frame 1 of the clip .* nst batch makes clips"):
        make_again(frame, None, Changes(), INLINE)


def test_a_normalized_network_keeps_its_runs_means(
    batch: Path,
    tmp_path: Path,
    picture: Picture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("photos/e.png", 5)
    shutil.copy(tmp_path / "photos/c_mask.png", tmp_path / "photos/e_mask.png")
    text = RUN.replace("steps: 2", "steps: 2, normalized: true").replace("output: run", "output: n")
    (tmp_path / "n.yaml").write_text(text)
    assert batch_manifest(tmp_path / "n.yaml", INLINE, quiet=True, with_report=False) == 0
    path = tmp_path / "n/images" / batch.name
    assert make_again(path, None, Changes(), INLINE, quiet=True) == 0
    assert "not the same job" not in capsys.readouterr().err
    (tmp_path / "n/normalisation.safetensors").unlink()
    assert make_again(path, None, Changes(), INLINE, quiet=True) == 0
    assert "means of the normalized network are not beside it" in capsys.readouterr().err


def test_neither_an_input_nor_a_run_s_own_picture_is_overwritten(batch: Path) -> None:
    record = json.loads(batch.with_suffix(".json").read_text())
    content = Path(record["content"]["path"])
    before = content.read_bytes()
    with pytest.raises(ImageError, match="is one of the pictures that this is made of"):
        make_again(batch, content, Changes(), INLINE)
    assert content.read_bytes() == before
    for output in (batch, batch.with_name("new.png")):
        with pytest.raises(ImageError, match=r"lies in the run folder .* choose another place"):
            make_again(batch, output, Changes(), INLINE)
    assert json.loads(batch.with_suffix(".json").read_text()) == record
