"""A loss that rises is told."""

from collections.abc import Callable
from pathlib import Path

import pytest
from batches import INLINE, Said, records

from pipeline.commands import run_manifest
from pipeline.manifest import load_manifest
from pipeline.method import Scale
from pipeline.slot.divergence import divergence
from pipeline.store import Point

SCALES = [Scale(64, 48, 0.5, 10, 1.0), Scale(128, 96, 1.0, 10, 1.0)]


def curve(*totals: tuple[int, float]) -> list[Point]:
    return [{"step": s, "content": 0, "style": 0, "tv": 0, "total": t} for s, t in totals]


@pytest.mark.parametrize(
    ("points", "where"),
    [
        (curve((1, 3), (10, 1), (11, 9), (20, 5)), None),  # sizes do not compare
        (curve((1, 3), (10, 3.1), (11, 3), (20, 3.1)), None),
        (curve((1, 3), (10, 4), (11, 3), (20, 1)), "from 3 to 4 at 64 x 48 px"),
        (curve((1, 3), (10, 1), (11, 9), (15, 1), (20, 8)), "from 9 to 8 at 128 x 96 px"),
        (curve((20, 7)), None),
    ],
)
def test_each_size_has_to_fall(points: list[Point], where: str | None) -> None:
    said = divergence(points, SCALES)
    assert (said is None) == (where is None) and (where or "") in (said or "")


def test_a_job_that_diverges_is_done_with_a_warning(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("c.png", 1), picture("s.png", 2)
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
        "settings: {size: 48, steps: 20, scale_start: 0, warmup: 0}\n"
        "grid: {learning_rate: [0.05, 10]}\n"
    )
    said = Said()
    assert run_manifest(load_manifest(tmp_path / "m.yaml"), INLINE, said).done == 2
    warned = {
        r["swept"]["learning_rate"]: r["warnings"] for r in records(tmp_path / "run").values()
    }
    assert warned[0.05] == [] and "the loss rose from" in warned[10][0]["text"]
    assert warned[10][0]["code"] == "loss_rose"
    assert any("choose a smaller learning_rate" in line for line in said.lines)
