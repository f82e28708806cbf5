"""`masks: keep`: pictures of where content counts more."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from batches import INLINE, Said, records
from PIL import Image

from pipeline.commands import run_manifest
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.plan import Job, Plan

HEAD = "output: run\ncontent: in\nstyle: s.png\nbackbone: lite\n"
SMALL = "settings: {preset: classic, size: 48, steps: 2, scale_start: 0}\n"


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("in/a.png", 1), picture("in/b.png", 2), picture("s.png", 3)
    for name in "ab":
        keep(tmp_path / f"in/{name}_keep.png")
    return tmp_path


def keep(path: Path, size: tuple[int, int] = (36, 28), white: int = 255) -> None:
    mask = Image.new("L", size, 0)
    mask.paste(white, (0, 0, size[0] // 2, size[1]))
    mask.save(path)


def jobs(folder: Path, more: str) -> list[Job]:
    (folder / "m.yaml").write_text(HEAD + SMALL + more)
    return list(Plan(load_manifest(folder / "m.yaml"), lambda s: "", 1).jobs())


def test_keeps_are_not_contents_and_decide_the_key(folder: Path) -> None:
    with_them = jobs(folder, "masks: {keep: '{stem}_keep.png'}\n")
    assert [job.content.label for job in with_them] == ["a", "b"]
    assert [job.content.keep.name for job in with_them if job.content.keep] == [
        "a_keep.png",
        "b_keep.png",
    ]
    without = {job.content.label: job.key for job in jobs(folder, "")}
    assert all(job.key != without[job.content.label] for job in with_them)
    keep(folder / "in/a_keep.png", (40, 31))
    changed = jobs(folder, "masks: {keep: '{stem}_keep.png'}\n")
    assert [a.key == b.key for a, b in zip(with_them, changed, strict=True)] == [False, True]


def test_a_pair_keeps_its_own_beside_the_same_picture_without(folder: Path) -> None:
    pair = "pairs: [{content: in/a.png, style: s.png, keep: in/b_keep.png}]\n"
    found = [job.content.keep for job in jobs(folder, pair) if job.content.label == "a"]
    assert found == [None, folder / "in/b_keep.png"]


def test_a_run_keeps_and_says_so(folder: Path) -> None:
    (folder / "m.yaml").write_text(HEAD + SMALL + "masks: {keep: '{stem}_keep.png'}\n")
    assert run_manifest(load_manifest(folder / "m.yaml"), INLINE, Said()).done == 2
    kept = records(folder / "run").values()
    assert [Path(r["content"]["keep"]).name for r in kept] == ["a_keep.png", "b_keep.png"]


@pytest.mark.parametrize(
    ("size", "white", "said"),
    [
        (
            (36, 36),
            255,
            "a_keep.png: is 36 x 36 px, but its picture a.png is 72 x 56 px",
        ),
        ((36, 28), 0, "a_keep.png: is black all over, so no content would be kept"),
    ],
)
def test_a_keep_that_cannot_be_fails_its_job_alone(
    folder: Path, size: tuple[int, int], white: int, said: str
) -> None:
    keep(folder / "in/a_keep.png", size, white)
    (folder / "m.yaml").write_text(HEAD + SMALL + "masks: {keep: '{stem}_keep.png'}\n")
    summary = run_manifest(load_manifest(folder / "m.yaml"), INLINE, Said())
    assert (summary.done, summary.failed) == (1, 1)
    (line,) = (folder / "run/failures.jsonl").read_text().splitlines()
    assert said in json.loads(line)["error"]


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ("{keep: '{stem}_k.png'}", "no such mask: .*a_k.png"),
        ("{}", "content is needed, or keep without style"),
        (
            "{style: '{stem}_m.png', keep: '{stem}_keep.png'}",
            "content is needed, or keep without style",
        ),
    ],
)
def test_wrong_masks_are_told(folder: Path, masks: str, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        jobs(folder, f"masks: {masks}\n")


def test_a_pair_or_a_map_names_its_own(folder: Path) -> None:
    (folder / "m.yaml").write_text(
        "output: run\nbackbone: lite\n"
        + SMALL
        + "pairs: [{content: in/a.png, style: s.png, keep: in/b_keep.png}]\n"
        "masks: {keep: '{stem}_keep.png'}\n"
    )
    (job,) = Plan(load_manifest(folder / "m.yaml"), lambda s: "", 1).jobs()
    assert job.content.keep is not None and job.content.keep.name == "b_keep.png"
    (folder / "p.csv").write_text("content,style,keep\nin/a.png,s.png,in/b_keep.png\n")
    (folder / "m.yaml").write_text("output: run\nbackbone: lite\n" + SMALL + "pairs: p.csv\n")
    (same,) = Plan(load_manifest(folder / "m.yaml"), lambda s: "", 1).jobs()
    assert same.key == job.key
