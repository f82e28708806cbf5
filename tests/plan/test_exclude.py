"""Jobs that the manifest leaves out: gone from the plan, the rest as it was."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest import Clip, JobNames, Manifest, Output, Picture, Sample, Style
from pipeline.plan import Plan
from pipeline.plan.lots import Lots


def plan(*exclude: str, max_jobs: int = 100, clip: bool = False, **more: Any) -> Plan:
    """4 contents (perhaps one of them a clip of 3 frames) x 3 styles x 2 seeds."""
    frames = tuple(Picture(Path(f"f{i}.png"), f"{i}", file=f"{i}.png") for i in range(3))
    film = Picture(Path("walk.mp4"), "walk", clip=Clip(frames), file="walk.mp4")
    contents = [Picture(Path(f"c{i}.png"), f"c{i}", file=f"c{i}.png") for i in range(4)]
    plain: dict[str, Any] = {
        "path": Path("m.yaml"), "text": "", "output": Path("run"),
        "contents": (film, *contents[1:]) if clip else tuple(contents),
        "styles": tuple(Style(f"s{i}", ((Path(f"s{i}.png"), 1.0),)) for i in range(3)),
        "pairing": "product", "pairs": (), "paired": (4, 3), "backbone": "lite", "weights": None,
        "settings": {}, "axes": {"seed": (0, 1)}, "folders": (), "form": Output(path="run"),
        "exclude": JobNames(exclude),
    }  # fmt: skip
    return Plan(Manifest(**(plain | more)), lambda settings: "digest", 1, max_jobs)


ALL = list(plan().names())


@given(st.sets(st.sampled_from(ALL)))
def test_what_is_named_is_left_out_and_the_rest_is_as_it_was(left_out: set[str]) -> None:
    some = plan(*sorted(left_out))
    kept = [name for name in ALL if name not in left_out]
    assert list(some.names()) == [job.name for job in some.jobs()] == kept
    assert (len(some), some.excluded) == (len(kept), len(left_out))
    assert [job.index for job in some.jobs()] == list(range(len(kept)))
    keys = {job.name: job.key for job in plan().jobs()}
    assert all(job.key == keys[job.name] for job in some.jobs())


@pytest.mark.parametrize("order", ["plan", "breadth", "shuffle"])
def test_in_every_order(order: Any) -> None:
    some = plan("c1.png__*", "*__seed-1")
    names = [job.name for job in some.jobs(order)]
    assert sorted(names) == sorted(some.names()) and len(names) == len(some) == 9


def test_entries_that_name_no_job_are_known() -> None:
    some = plan("c0.png__s0*", "c9.png__*", "images/c1.png__s1__seed-0.png")
    assert some.excluding_nothing == ("c9.png__*",) and some.excluded == 3
    assert plan().excluding_nothing == () and plan().excluded == 0


def test_entries_that_overlap_each_name_jobs() -> None:
    some = plan("c0.png__*", "c0.png__s0*", "c0.png__s1__seed-0", "c?.png__s9*")
    assert some.excluding_nothing == ("c?.png__s9*",) and some.excluded == 6


def test_names_are_gone_through_once_to_count_them_and_to_find_entries_of_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    names = Lots._names
    monkeypatch.setattr(
        Lots, "_names", lambda lots, pair, labels: asked.append(1) or names(lots, pair, labels)
    )
    some = plan("c0.png__*", "c?.png__s9*")
    assert some.excluded == 6 and len(some) == 18 and some.excluding_nothing
    assert len(asked) == 24


def test_a_name_with_brackets_leaves_out_that_job_alone() -> None:
    names = ("c[1].png", "c1.png")
    contents = tuple(Picture(Path(name), name[:-4], file=name) for name in names)
    some = plan("c[1].png__s0__seed-0", contents=contents, paired=(2, 3))
    assert some.excluded == 1 and "c[1].png__s0__seed-0" not in list(some.names())
    assert len(some) == len(list(some.jobs())) == 11


def test_a_clip_is_left_out_whole() -> None:
    whole = list(plan(clip=True).names())
    frame = next(name for name in whole if "walk" in name and "s1" in name)
    some = plan(frame, clip=True)
    gone = set(whole) - set(some.names())
    assert len(gone) == 3 and frame in gone and len(some) == len(whole) - 3
    assert [job.name for job in some.jobs()] == list(some.names())


def test_a_draw_stays_the_same() -> None:
    drawn = list(plan(pairing=Sample(sample=1, seed=3)).names())
    some = plan(drawn[0], pairing=Sample(sample=1, seed=3))
    assert list(some.names()) == drawn[1:]


def test_more_jobs_than_allowed_are_refused_before_any_is_named() -> None:
    with pytest.raises(ManifestError, match="24 jobs"):
        plan("*", max_jobs=23)
    assert len(plan("*", max_jobs=24)) == 0 and not list(itertools.chain(plan("*").jobs()))
