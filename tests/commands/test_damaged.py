"""Which pictures the plan finds damaged: all of some, of many an even sample; none is fetched."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import HEAD, INLINE
from PIL import Image

from pipeline.address import as_path
from pipeline.commands import damaged, show_plan
from pipeline.commands.damaged import find_damaged, marked_jobs
from pipeline.errors import ImageError
from pipeline.manifest import load_manifest
from pipeline.plan import Choice, Job, Plan, parse_rules
from pipeline.remote import put

COUNT = 10


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """10 contents x 2 styles; every other content, and one style, is no picture."""
    for number in range(COUNT):
        picture(f"content/{number}.png", number)
    picture("style/s.png", 20), picture("style/t.png", 21)
    (tmp_path / "m.yaml").write_text(HEAD)
    for name in [*(f"content/{number}.png" for number in range(0, COUNT, 2)), "style/t.png"]:
        (tmp_path / name).write_text("no picture")
    return tmp_path / "m.yaml"


def planned(manifest: Path) -> Plan:
    return Plan(load_manifest(manifest), lambda settings: "", 1)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures whose headers were read."""
    names: list[str] = []
    plain = damaged.read_size

    def noted(path: Path) -> tuple[int, int]:
        names.append(path.name)
        return plain(path)

    monkeypatch.setattr(damaged, "read_size", noted)
    return names


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the jobs that plans were asked for."""
    names: list[str] = []
    plain = Plan.jobs

    def noted(self: Plan, *words: Any) -> Iterator[Job]:
        for job in plain(self, *words):
            names.append(job.name)
            yield job

    monkeypatch.setattr(Plan, "jobs", noted)
    return names


def test_all_of_some_are_looked_at_once(manifest: Path, seen: list[str]) -> None:
    found = find_damaged(planned(manifest).manifest)
    assert sorted(path.name for path in found.problems) == [
        "0.png", "2.png", "4.png", "6.png", "8.png", "t.png"
    ]  # fmt: skip
    assert len(seen) == len(set(seen)) == found.looked_at == found.pictures == COUNT + 2
    assert found.not_all == ""


def test_of_many_an_even_sample_is_looked_at_and_all_styles(
    manifest: Path, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damaged, "MOST_LOOKED_AT", 7)
    found = find_damaged(planned(manifest).manifest)
    assert sorted(seen) == ["1.png", "3.png", "5.png", "7.png", "9.png", "s.png", "t.png"]
    assert [path.name for path in found.problems] == ["t.png"]
    assert found.not_all == "looked at 7 of 12 pictures for damage; a run tells of the others"
    seen.clear()
    monkeypatch.setattr(damaged, "MOST_LOOKED_AT", 1)
    assert find_damaged(planned(manifest).manifest).looked_at == len(seen) == 1


def test_masks_are_looked_at_with_their_pictures_and_no_others(
    manifest: Path,
    seen: list[str],
    picture: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(COUNT):
        picture(f"content/{number}.png", number)
        with Image.open(picture(f"masks/{number}.png", number)) as mask:
            tall = mask.resize((10, 90)) if number in (3, 4) else mask.copy()
        tall.save(manifest.parent / f"masks/{number}.png")
    manifest.write_text(HEAD + "masks: {content: '../masks/{name}'}\n")
    plan = planned(manifest)
    assert all(job.problem is None for job in plan.jobs()) and seen == []  # none for the jobs' keys
    found = find_damaged(plan.manifest)
    assert [mask.name for mask, _ in found.masks] == ["3.png", "4.png"] and found.not_all == ""
    assert len(seen) == 2 + 2 * COUNT  # styles, and contents with their masks
    marked = [job for job in map(found.mark, plan.jobs()) if job.problem and job.style.label == "s"]
    assert {job.content.label for job in marked} == {"3", "4"}
    assert "a mask has its picture's shape" in str(marked[0].problem)
    seen.clear()
    monkeypatch.setattr(damaged, "MOST_LOOKED_AT", 7)
    assert show_plan(manifest, INLINE, as_json=False, measured=False) == 0
    assert "looked at 7 of 12 pictures and their masks for" in capsys.readouterr().out
    assert sorted(seen) == sorted(["s.png", "t.png", *[f"{n}.png" for n in (1, 3, 5, 7, 9)] * 2])


def test_chosen_jobs_are_gone_through_once_and_only_their_pictures_are_looked_at(
    manifest: Path, seen: list[str], made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = parse_rules("--only", ["style=s"])
    jobs, found = marked_jobs(planned(manifest), Choice(only=rules, limit=3))
    problems = [job.problem is not None for job in jobs]
    assert problems == [True, False, True] and len(made) == len(set(made)) < 2 * COUNT
    assert sorted(seen) == ["0.png", "1.png", "2.png", "s.png"]
    assert (found.looked_at, found.pictures, found.not_all) == (4, 4, "")
    monkeypatch.setattr(damaged, "MOST_LOOKED_AT", 3)
    seen.clear()
    jobs, found = marked_jobs(planned(manifest), Choice(only=rules))
    assert [job.problem is not None for job in jobs] == [True] + [False] * 9
    assert sorted(seen) == ["0.png", "1.png", "s.png"]
    assert found.not_all == "looked at 3 of 11 pictures for damage; a run tells of the others"


def test_a_plan_of_chosen_jobs_asks_for_them_once(
    manifest: Path, made: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rules = parse_rules("--only", ["style=s"])
    options = replace(INLINE, run=replace(INLINE.run, choice=Choice(only=rules)))
    assert show_plan(manifest, options, as_json=False, measured=False) == 0
    said = capsys.readouterr().out
    assert "10 of 20 jobs, 0 done, 5 to run" in said and len(made) == len(set(made)) == 2 * COUNT


def test_it_is_said_how_many_were_looked_at(
    manifest: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damaged, "MOST_LOOKED_AT", 7)
    assert show_plan(manifest, INLINE, as_json=False, measured=False) == 0
    said = capsys.readouterr().out
    assert "looked at 7 of 12 pictures" in said and "10 cannot be made: " in said
    assert show_plan(manifest, INLINE, as_json=True, measured=False) == 0
    said, warned = capsys.readouterr()
    problems = [event.get("problem", "") for event in map(json.loads, said.splitlines())]
    assert sum("t.png" in problem for problem in problems) == sum(map(bool, problems)) == 10
    assert "looked at 7 of 12 pictures" in warned


def test_remote_pictures_are_looked_at_where_nothing_is_fetched_for_it(
    manifest: Path, seen: list[str]
) -> None:
    for number in (0, 1):
        path = as_path(f"memory://data/content/{number}.png")
        put(path, manifest.parent / f"content/{number}.png")  # type: ignore[arg-type]
    text = HEAD.replace("content: content", "content: memory://data/content")
    manifest.write_text(text)
    found = find_damaged(planned(manifest).manifest)
    assert sorted(seen) == ["s.png", "t.png"] and found.pictures == 4
    plan = planned(manifest)
    assert len(list(plan.jobs())) == 4  # their keys need the files
    found = find_damaged(plan.manifest)
    assert found.looked_at == found.pictures == 4
    assert sorted(path.name for path in found.problems) == ["0.png", "t.png"]
    assert "memory://data/content/0.png: not a picture" in " ".join(
        map(str, found.problems.values())
    )


def test_a_job_that_cannot_be_made_keeps_its_reason(manifest: Path) -> None:
    plan = planned(manifest)
    found = find_damaged(plan.manifest)
    job = next(plan.jobs())
    assert "0.png" in str(found.mark(job).problem)
    gone = replace(job, problem=ImageError("gone"))
    assert found.mark(gone) is gone
