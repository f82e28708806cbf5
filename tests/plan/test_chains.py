"""Frames that go on from each other."""

import itertools
from collections.abc import Callable
from pathlib import Path

from clips import moving, write_frames

from pipeline.manifest import load_manifest
from pipeline.plan import Chains, Job, Plan, together


def jobs_of(folder: Path, picture: Callable[..., Path], more: str = "") -> list[Job]:
    picture("s.png", 1)
    write_frames(folder / "f", moving(3))
    (folder / "m.yaml").write_text(
        f"output: run\ncontent: [f/%04d.png, s.png]\nstyle: s.png\nbackbone: lite\n{more}"
    )
    return list(Plan(load_manifest(folder / "m.yaml"), lambda s: "", 1).jobs())


def test_only_the_first_frame_can_be_run_at_once(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    jobs, chains = jobs_of(tmp_path, picture, "grid: {seed: [0, 1]}\n"), Chains()
    heads = [job.name for job in chains.heads(jobs)]
    assert heads == [
        "f/0001__s__seed-0", "f/0001__s__seed-1", "s.png__s__seed-0", "s.png__s__seed-1"
    ]  # fmt: skip
    assert chains.next_of(jobs[0]) is jobs[1]
    assert chains.next_of(jobs[1]) is jobs[2]
    assert chains.next_of(jobs[2]) is None and chains.broken(jobs[2]) == ()
    assert chains.broken(jobs[3]) == (jobs[4], jobs[5]) and chains.next_of(jobs[3]) is None
    assert chains.next_of(jobs[-1]) is None and chains.broken(jobs[-1]) == ()


def test_frames_that_follow_share_a_batch(tmp_path: Path, picture: Callable[..., Path]) -> None:
    jobs = jobs_of(tmp_path, picture, "settings: {size: 64, clip_steps: 7}\ngrid: {seed: [0, 1]}\n")
    numbers = itertools.count(5)
    (batch,), refused = together([jobs[1], jobs[4]], numbers)
    assert batch.number == 5 and batch.jobs == (jobs[1], jobs[4]) and not refused
    assert [scale.steps for scale in batch.scales] == [7]
    apart, _ = together([jobs[0], jobs[1]], numbers)
    assert [b.number for b in apart] == [6, 7]


def test_a_frame_that_cannot_be_run_is_told(tmp_path: Path, picture: Callable[..., Path]) -> None:
    jobs = jobs_of(tmp_path, picture)
    (tmp_path / "f/0002.png").unlink()
    batches, ((job, error),) = together([jobs[1]], itertools.count())
    assert not batches and job is jobs[1] and "no such file" in str(error)
