"""Properties of planning: names and labels that hold for any input."""

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.manifest import Manifest, Output, Picture, Sample, Style
from pipeline.plan import Plan, value_label
from pipeline.plan.jobs import safe_label, safe_path_label, unique_labels

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
    assert len({job.name.casefold() for job in jobs}) == len(jobs)
    assert [job.index for job in jobs] == list(range(len(jobs)))
    assert [job.name for job in jobs] == [job.name for job in plan.jobs()]
