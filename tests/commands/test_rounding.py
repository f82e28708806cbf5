"""A picture made again beside what it was: the same batch, and what is told where it differs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from batches import INLINE, write
from PIL import Image, ImageOps, PngImagePlugin

from pipeline.commands import Changes, batch_manifest, make_again
from pipeline.commands.rounding import beside_then, like_then, picture_then
from pipeline.errors import ManifestError
from pipeline.store import Record, read_made

Picture = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, picture: Picture) -> Path:
    """A run of four jobs in one batch, of two contents."""
    for name, seed in (("a", 1), ("b", 2), ("s", 3), ("t", 4)):
        picture(f"{name}.png", seed)
    write(
        tmp_path / "m.yaml",
        "output: run\ncontent: [a.png, b.png]\nstyle: [s.png, t.png]\nbackbone: lite\n"
        "settings: {preset: classic, size: 48, steps: 2, scale_start: 0, precision: fp32}\n",
    )
    options = replace(INLINE, devices="cpu", threads=1)
    assert batch_manifest(tmp_path / "m.yaml", options, quiet=True, with_report=False) == 0
    return tmp_path / "run/images"


def record(path: Path) -> Record:
    found = read_made(path)
    assert isinstance(found, Record)
    return found


def test_the_same_batch_and_threads_give_the_same_pixels(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, threads = run / "b.png__t.png", torch.get_num_threads()
    assert record(made).batch == {"number": 0, "size": 4, "contents": 2, "threads": 1}
    try:
        torch.set_num_threads(2)
        out = run.parent.parent / "again.png"
        assert make_again(made, out, Changes(exact=True), INLINE) == 0
    finally:
        torch.set_num_threads(threads)
    again = record(out)
    assert again.batch == record(made).batch and again.key == record(made).key
    assert again.content.path == record(made).content.path
    assert f"the same pixels as {made}" in capsys.readouterr().out
    assert sorted(path.name for path in out.parent.glob("again*")) == ["again.json", "again.png"]


def test_what_was_otherwise_is_told(run: Path) -> None:
    one, other = run / "a.png__s.png", run / "b.png__s.png"
    then = record(one)
    now = then.model_copy(
        update={
            "batch": {"number": 0, "size": 1, "contents": 1, "threads": 8},
            "device": "NVIDIA",
            "precision": "bf16",
            "versions": {"torch": "9"},
            "deterministic": True,
        }
    )
    shown = picture_then(one.with_suffix(".json"), then)
    (said,) = beside_then(shown, then, other, now, exact=False)
    for words in (
        f"differs from {one} by",
        "fp32 then, bf16 now",
        "then, 9 now",
        "on cpu then, on NVIDIA now",
        "without --deterministic then",
        "jobs in its batch: 4 then, 1 now",
        "different contents in it: 2 then, 1 now",
        "CPU threads: 1 then, 8 now; --exact makes it as then",
    ):
        assert words in said
    then.batch.pop("threads")
    (said,) = beside_then(picture_then(one, then), then, other, now, exact=True)
    assert said.endswith("how many CPU threads then is not known")
    one.unlink()
    shown = picture_then(one.with_suffix(".json"), then)
    assert shown is None and list(beside_then(shown, then, other, now, exact=False)) == []


def test_exact_wants_the_record(run: Path) -> None:
    made = run / "a.png__s.png"
    made.with_suffix(".json").unlink()
    with pytest.raises(ManifestError, match=r"--exact wants the record a.png__s.json beside it"):
        make_again(made, None, Changes(exact=True), INLINE)


def test_records_of_before_have_a_batch_of_that_many_contents(run: Path) -> None:
    then = record(run / "a.png__s.png")
    then.batch = {"number": 0, "size": 3}
    found = like_then(run / "a.png__s.png", then)
    assert (found.size, found.contents, found.threads, found.device) == (3, 3, 0, "cpu")


def test_in_its_own_place_it_is_compared_with_what_was_there(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run / "a.png__s.png"
    then = record(made)
    picture = Image.open(made)
    meta = PngImagePlugin.PngInfo()
    for name, text in picture.info.items():
        if isinstance(text, str):
            meta.add_text(name, text)
    own = run.parent.parent / "own.png"
    ImageOps.invert(picture.convert("RGB")).save(own, pnginfo=meta)
    assert read_made(own).key == then.key
    assert make_again(own, own, Changes(folders=[own.parent]), INLINE) == 0
    assert "differs from" in capsys.readouterr().out


def test_a_strangers_record_cannot_ask_for_any_number_of_pictures(run: Path) -> None:
    path = run / "a.png__s.json"
    said = json.loads(path.read_text())
    said["batch"] = {"size": 20_000, "contents": 20_000}
    path.write_text(json.dumps(said))
    with pytest.raises(ManifestError, match=r"in a batch of 20,000, and --exact makes 1,024"):
        make_again(run / "a.png__s.png", None, Changes(exact=True), INLINE)
