"""Properties of planning: names and labels that hold for any input."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, Output, Picture, Sample, Style, load_manifest
from pipeline.plan import Plan
from pipeline.plan.first_names import safe_path_label, unique_labels
from pipeline.plan.labels import safe_label, value_label

FORBIDDEN = set('<>:"/\\|?*') | {chr(i) for i in range(32)} | {"\x7f"}
names = st.text(min_size=1, max_size=120)


@given(names)
def test_any_text_becomes_a_safe_label(text: str) -> None:
    label = safe_label(text)
    assert 0 < len(label.encode()) <= 80
    assert not set(label) & FORBIDDEN
    assert label == label.strip(" .")
    assert "__" not in label and not label.startswith("_") and not label.endswith("_")
    assert label.split(".")[0].lower() not in {"con", "nul", "aux", "prn", "com1", "lpt9"}


def test_names_that_are_not_utf8_or_hide_reserved_words_are_made_safe() -> None:
    assert safe_label("a\udc80b") == "a_b"
    assert safe_label("0 \x1f") == "0"
    assert safe_label("con .txt") != "con .txt"


@given(st.text(alphabet=string.ascii_letters + "./\\ ", max_size=60))
def test_any_path_stays_below_its_root(text: str) -> None:
    label = safe_path_label(text)
    assert not Path(label).is_absolute()
    assert not {"..", "."} & set(Path(label).parts)


@given(st.lists(names, max_size=12, unique=True))
def test_labels_are_unique_without_case(rows: list[str]) -> None:
    candidates = [[safe_label(row), f"{i}-unique"] for i, row in enumerate(rows)]
    labels = unique_labels(candidates)
    assert len({label.casefold() for label in labels}) == len(rows)


values = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    names,
)


@given(values)
def test_any_swept_value_has_a_safe_label(value: object) -> None:
    assert not set(value_label("seed", value)) & FORBIDDEN


def manifest(
    folder: Path, contents: list[str], styles: list[str], pairing: Any, seeds: int
) -> Manifest:
    """A manifest over files that exist, each with the given label."""

    def file(name: str) -> Path:
        (folder / name).write_bytes(b"x")
        return folder / name

    return Manifest(
        path=folder / "m.yaml",
        text="",
        output=folder / "run",
        contents=tuple(Picture(file(f"c{i}"), label) for i, label in enumerate(contents)),
        styles=tuple(Style(label, ((file(f"s{i}"), 1.0),)) for i, label in enumerate(styles)),
        pairing=pairing,
        pairs=(),
        paired=(len(contents), len(styles)),
        backbone="lite",
        weights=None,
        settings={},
        axes={"seed": tuple(range(seeds))} if seeds else {},
        folders=(),
        form=Output.model_validate({"path": "run"}),
    )


labels = st.lists(
    st.text(alphabet="aAbB_./: ", min_size=1, max_size=6), min_size=1, max_size=5, unique=True
)
pairings = st.one_of(st.just("product"), st.builds(lambda n: Sample(sample=n), st.integers(1, 5)))


@settings(max_examples=60, deadline=None)
@given(labels, labels, pairings, st.integers(0, 3))
def test_a_plan_counts_its_jobs_and_names_each_once(
    tmp_path_factory: pytest.TempPathFactory,
    contents: list[str],
    styles: list[str],
    pairing: Any,
    seeds: int,
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    plan = Plan(manifest(folder, contents, styles, pairing, seeds), lambda s: "digest", 1)
    jobs = list(plan.jobs())
    assert len(jobs) == len(plan)
    assert len({job.name for job in jobs}) == len(jobs)
    assert [job.index for job in jobs] == list(range(len(jobs)))
    assert [job.name for job in jobs] == [job.name for job in plan.jobs()]


GOOD = "output: run\ncontent: a.png\nstyle: s.png\nbackbone: lite\n"


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("a.png", 1)
    picture("s.png", 2)
    return tmp_path


def load(folder: Path, text: str):  # type: ignore[no-untyped-def]
    (folder / "m.yaml").write_text(text)
    return load_manifest(folder / "m.yaml")


def plan_of(manifest, **options):  # type: ignore[no-untyped-def]
    return Plan(manifest, lambda settings: "digest", 1, **options)


def test_an_absurd_grid_is_refused_with_its_count(folder: Path) -> None:
    values = ", ".join(map(str, range(1000)))
    manifest = load(folder, GOOD + f"grid:\n  seed: [{values}]\n  steps: [{values[3:]}]\n")
    with pytest.raises(ManifestError, match="999,000 jobs"):
        plan_of(manifest, max_jobs=10_000)


def test_names_never_collide(folder: Path, picture: Callable[..., Path]) -> None:
    for name in ("c/x.png", "c/X.jpg", "c/x.jpg", "c/a__b.png", "c/a_b.png", "c/CON.png"):
        picture(name)
    manifest = load(folder, GOOD.replace("content: a.png", "content: [c, a.png]"))
    names = [job.name for job in plan_of(manifest).jobs()]
    assert len(set(names)) == len(names) == 7
    assert not any(name.split(".")[0].lower() == "con" for name in names)


@pytest.mark.parametrize("text", ["../x", "a:b", "x" * 300, "nul", " . ", "a__b", "ü\n"])
def test_labels_are_safe_everywhere(text: str) -> None:
    label = safe_label(text)
    assert 0 < len(label.encode()) <= 80
    assert not set(label) & set('<>:"/\\|?*\n')
    assert "__" not in label


def test_sampled_styles_are_the_same_every_time(folder: Path, picture: Callable[..., Path]) -> None:
    for i in range(6):
        picture(f"styles/{i}.png", i)
    text = GOOD.replace("style: s.png", "style: styles") + "pairing: {sample: 3, seed: 1}\n"
    first = [job.name for job in plan_of(load(folder, text)).jobs()]
    assert len(first) == 3
    assert first == [job.name for job in plan_of(load(folder, text)).jobs()]


def test_explicit_pairs_are_not_made_twice(folder: Path) -> None:
    assert len(plan_of(load(folder, GOOD + "pairs: [[a.png, s.png], [s.png, s.png]]\n"))) == 2


def test_pairs_have_settings_of_their_own(folder: Path) -> None:
    entries = [
        "{content: a.png, style: s.png, settings: {style_weight: 7, seed: 3}}",
        "{content: a.png, style: s.png, settings: {style_weight: 7.0000001, seed: 3}}",
        "{content: a.png, style: {name: mix, blend: {a.png: 1, s.png: 3}}, settings: {steps: 9}}",
    ]
    text = f"settings: {{steps: 5}}\ngrid: {{tv_weight: [0, 2]}}\npairs: [{', '.join(entries)}]\n"
    plan = plan_of(load(folder, GOOD + text))
    jobs = list(plan.jobs())
    assert len(plan) == len(jobs) == 8
    assert len({job.name for job in jobs}) == len({job.key for job in jobs}) == 8
    assert [job.settings.style_weight for job in jobs] == [3, 3, 7, 7, 7.0000001, 7.0000001, 3, 3]
    assert [job.settings.tv_weight for job in jobs] == [0, 2] * 4
    assert [job.settings.steps for job in jobs] == [5] * 6 + [9] * 2
    assert jobs[2].point == {"style_weight": 7, "seed": 3, "tv_weight": 0}
    assert [round(weight, 2) for _, weight in jobs[6].style.parts] == [0.25, 0.75]


def test_keys_follow_settings_and_bytes(folder: Path, picture: Callable[..., Path]) -> None:
    def key(text: str) -> str:
        return next(iter(plan_of(load(folder, text)).jobs())).key

    before = key(GOOD)
    assert key(GOOD + "settings: {preset: default}\n") == before
    assert key(GOOD + "settings: {seed: 1}\n") != before
    picture("s.png", 9)
    assert key(GOOD) != before


def test_a_key_has_the_bytes_of_the_first_picture_and_not_its_name(
    folder: Path, picture: Callable[..., Path]
) -> None:
    def key(name: str) -> str:
        (job,) = plan_of(load(folder, GOOD + f"settings: {{init: {name}}}\n")).jobs()
        return job.key

    picture("first.png", 3), picture("same.png", 3), picture("other.png", 4)
    assert key("first.png") == key("same.png") != key("other.png")


def test_a_key_has_masks_and_regions(folder: Path, picture: Callable[..., Path]) -> None:
    def key(mask: str) -> str:
        pair = f"pairs: [{{content: a.png, style: s.png, mask: {mask}}}]\n"
        (job,) = plan_of(load(folder, f"output: run\nbackbone: lite\n{pair}")).jobs()
        return job.key

    picture("m1.png", 5), picture("m2.png", 6)
    keys = {key("m1.png"), key("m2.png"), next(iter(plan_of(load(folder, GOOD)).jobs())).key}
    assert len(keys) == 3


def test_layers_and_lists_are_named_by_their_parts() -> None:
    assert value_label("style_layers", {"conv1_1": 1.0, "conv2_1": 2.0}) == (
        "style_layers-conv1_1=1+conv2_1=2"
    )
    assert value_label("blend", (1.0, 2.5)) == "blend-1+2.5"
    assert value_label("init", "/some/where/first.png") == "init-first"
