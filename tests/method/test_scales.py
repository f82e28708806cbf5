"""How steps are shared out over scales."""

import subprocess
import sys
from pathlib import Path

from pipeline.manifest import Settings
from pipeline.method import schedule_scales


def steps(**settings: object) -> list[int]:
    job = Settings(size=512, **settings)  # type: ignore[arg-type]
    return [scale.steps for scale in schedule_scales(job, 512, 512)]


def test_a_list_of_steps_is_each_scales_own_the_last_for_all_that_follow() -> None:
    assert steps(steps=(40, 7)) == [40, 7, 7, 7]


def test_every_scale_has_a_step_where_the_falloff_leaves_it_none() -> None:
    assert steps(steps=6, step_falloff=0.1) == [3, 1, 1, 1]


def test_the_schedule_needs_no_torch() -> None:
    code = "import sys, pipeline.method.scales; print('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert ran.stdout.strip() == "False"
