"""The order of an axis's values."""

from pipeline.report.axes import Axis, _in_order


def ordered(name: str, *values: object) -> tuple[list[str], list[int]]:
    axis = Axis(name)
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
