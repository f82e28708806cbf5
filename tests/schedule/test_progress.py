"""What a person sees while it runs, at two widths of a terminal."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from pipeline.schedule.progress import LiveProgress, shorten


def state(batch: int, **more: Any) -> dict[str, Any]:
    name = "town/a_rather_long_content__a_rather_long_style__style_weight-1000"
    return {"slot": "0", "device": "cuda:0", "jobs": 4, "batch": batch, "job": name} | more


@pytest.mark.parametrize("width", [80, 160])
def test_no_line_wraps_and_both_ends_of_a_name_are_there(width: int) -> None:
    console = Console(width=width, file=StringIO(), force_terminal=True)
    progress = LiveProgress(console)
    progress.total = 100
    progress.bars.update(progress.run, total=100)
    progress._show_slots([state(0, phase="optimize", step=3, steps=9, loss=0.123)])
    progress._show_slots([state(7, phase="optimize", step=4, steps=9, loss=0.122)])
    progress.update([], 4, 1)
    lines = console.render_lines(progress.bars.get_renderable(), pad=False)
    text = ["".join(segment.text for segment in line) for line in lines]
    assert len(text) == 2 and all(len(line) <= width for line in text)
    assert "5/100" in text[0] and "1 failed" in text[0]
    assert "cuda:0 #7 a_rath" in text[1] and "-1000 +3" in text[1] and "loss 0.122" in text[1]
    assert ("/h" in text[1]) == (width == 160)  # the 4 jobs of the batch that it left behind


def test_names_are_shortened_in_the_middle() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcdefghij", 7) == "abc…hij"
    assert all(len(shorten("x" * 50, width)) <= width for width in range(2, 50))
