"""The axes of a run, and the order of an axis's values."""

from dataclasses import replace
from pathlib import Path

from pipeline.report.axes import Axis, _in_order, make_axes
from pipeline.report.entries import find_entries
from pipeline.store import RunFolder


def ordered(name: str, *values: object) -> tuple[list[str], list[int]]:
    axis = Axis(name, "setting")
    for value in values:
        axis.add(repr(value), str(value), value, None)
    _in_order(axis)
    return axis.labels, axis.column


def test_levels_go_from_the_least_to_the_most() -> None:
    labels, column = ordered("strength", "extreme", "subtle", "medium")
    assert labels == ["subtle", "medium", "extreme"] and column == [2, 0, 1]
    assert ordered("stroke", "large", "fine", "medium")[0] == ["fine", "medium", "large"]


def test_numbers_go_by_size_and_words_by_name() -> None:
    assert ordered("style_weight", 10, 2.5)[0] == ["2.5", "10"]
    assert ordered("color", "style", "original_colors")[0] == ["original_colors", "style"]


def test_classes_and_splits_are_axes_where_there_are_several(run: Path) -> None:
    first, second, *_ = find_entries(RunFolder(run))[0]
    names = ("train/cats/a__red", "val/dogs/b__red", "train/dogs/c__red")
    some = [replace(first, name=name, content=f"/{name}.png", file=None) for name in names]
    axes = {axis.name: axis for axis in make_axes(some)}
    assert axes["class"].labels == ["cats", "dogs"] and axes["class"].column == [0, 1, 1]
    assert axes["split"].labels == ["train", "val"] and axes["split"].column == [0, 1, 0]
    assert {axes["class"].kind, axes["split"].kind} == {"place"}
    assert "split" not in [axis.name for axis in make_axes([some[0], some[2]])]
    assert "class" not in [axis.name for axis in make_axes([first, second])]
