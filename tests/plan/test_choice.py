"""Which jobs are meant, and in which order."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.plan import Choice, Order, Plan, parse_rules

CONTENTS, STYLES, WEIGHTS = 5, 3, 2


@pytest.fixture
def plan(tmp_path: Path, picture: Callable[..., Path]) -> Plan:
    for index in range(CONTENTS):
        picture(f"content/{'dogs' if index < 2 else 'cats'}/{index}.png", index)
    for index, name in enumerate(("wave", "waves", "mosaic")):
        picture(f"style/{name}.png", 10 + index)
    path = tmp_path / "m.yaml"
    path.write_text(
        "output: run\ncontent: content\nstyle: style\nbackbone: lite\n"
        "grid: {style_weight: [1e3, 1e4]}\n"
    )
    return Plan(load_manifest(path), lambda settings: "digest", 1)


def chosen(plan: Plan, *only: str, **more: int) -> list[str]:
    rules = parse_rules("--only", only)
    return [job.name for job in Choice(rules, **more).jobs(plan)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ((), 30),
        (("class=cats",), 18),
        (("class=dog*", "style=wave"), 4),
        (("class=cats", "class=dogs"), 30),
        (("style=wave",), 10),
        (("style=wave*",), 20),
        (("style=wave", "style=mosaic"), 20),
        (("style=wave", "content=dogs/*"), 4),
        (("style_weight=10000",), 15),
        (("style_weight=1e4", "style=mosaic", "content=cats/4"), 1),
    ],
)
def test_rules_of_one_axis_are_alternatives_of_several_all_hold(
    plan: Plan, only: tuple[str, ...], expected: int
) -> None:
    assert len(chosen(plan, *only)) == expected


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ("style", "--only style: write axis=value"),
        ("sytle=wave", "--only sytle=wave: no such axis; did you mean 'style'"),
        ("size=64", "no such axis; known are content, style, class, style_weight"),
        ("class=cat", "--only class=cat: no class matches; did you mean 'cats'?"),
        ("split=train", "no such axis; known are content, style, class, style_weight"),
        ("style=mosaik", "no style matches; did you mean 'mosaic'"),
        ("style_weight=7", "no style_weight matches; known are 1000, 10000"),
    ],
)
def test_a_rule_that_can_match_nothing_is_told(plan: Plan, only: str, said: str) -> None:
    with pytest.raises(ManifestError) as raised:
        chosen(plan, only)
    assert said in str(raised.value)


def test_splits_are_chosen_as_classes_are_and_contents_without_either(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for index, name in enumerate(("train/cats/a", "val/cats/a", "val/b", "c")):
        picture(f"content/{name}.png", index)
    picture("s.png", 9)
    path = tmp_path / "m.yaml"
    path.write_text("output: run\ncontent: content\nstyle: s.png\nbackbone: lite\n")
    plan = Plan(load_manifest(path), lambda settings: "digest", 1)
    assert chosen(plan, "split=val") == ["val/b.png__s", "val/cats/a.png__s"]
    assert chosen(plan, "split=val", "class=cats") == ["val/cats/a.png__s"]
    assert chosen(plan, "class=none") == ["c.png__s", "val/b.png__s"]


def test_a_clips_frames_are_of_the_class_that_its_folder_is(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for clip in ("content/cats/a", "content/dogs/b"):
        for number in range(2):
            picture(f"{clip}/{number:04}.png", number)
    picture("s.png", 9)
    path = tmp_path / "m.yaml"
    path.write_text(
        "output: run\ncontent: [content/cats/a/%04d.png, content/dogs/b/%04d.png]\n"
        "style: s.png\nbackbone: lite\n"
    )
    plan = Plan(load_manifest(path), lambda settings: "digest", 1)
    labels = [content.label for content in plan.manifest.contents]
    assert [job.below for job in plan.jobs()] == [label for label in labels for _ in range(2)]


def test_the_first_few_and_a_draw_of_them(plan: Plan) -> None:
    every = chosen(plan)
    assert chosen(plan, limit=7) == every[:7]
    drawn = chosen(plan, sample=9, seed=1)
    assert len(drawn) == 9 and drawn == [name for name in every if name in drawn]
    assert drawn == chosen(plan, sample=9, seed=1) != chosen(plan, sample=9, seed=2)
    assert set(chosen(plan, sample=4, seed=1)) < set(drawn)  # more are those and others
    assert set(chosen(plan, limit=12, sample=3)) < set(every[:12])
    assert chosen(plan, sample=99) == every


def in_order(plan: Plan, order: Order, seed: int = 0) -> list[tuple[int, str, str]]:
    jobs = list(Choice(order=order, seed=seed).jobs(plan))
    assert [job.index for job in jobs] == list(range(len(jobs)))
    return [(plan.manifest.contents.index(j.content), j.style.label, j.name) for j in jobs]


def test_breadth_takes_every_content_before_one_twice(plan: Plan) -> None:
    found = in_order(plan, "breadth")
    assert sorted(found) == sorted(in_order(plan, "plan"))
    for begin in range(0, 30, CONTENTS):
        assert [content for content, _, _ in found[begin : begin + CONTENTS]] == [0, 1, 2, 3, 4]
    # Styles are covered early, too.
    assert len({style for _, style, _ in found[:CONTENTS]}) == STYLES


def test_a_shuffle_is_the_same_for_the_same_seed(plan: Plan) -> None:
    found = in_order(plan, "shuffle", 1)
    assert sorted(found) == sorted(in_order(plan, "plan"))
    assert found == in_order(plan, "shuffle", 1)
    assert found not in (in_order(plan, "plan"), in_order(plan, "shuffle", 2))
    assert max(Counter(content for content, _, _ in found[:10]).values()) < 6


def test_a_clip_is_one(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for clip in "ab":
        for number in range(3):
            picture(f"{clip}/{number:04}.png", number)
    picture("s.png", 9)
    path = tmp_path / "m.yaml"
    path.write_text(
        "output: run\ncontent: [a/%04d.png, b/%04d.png]\nstyle: s.png\nbackbone: lite\n"
    )
    plan = Plan(load_manifest(path), lambda settings: "digest", 1)
    assert len(chosen(plan)) == 6
    assert len(chosen(plan, limit=1)) == len(chosen(plan, sample=1)) == 3
