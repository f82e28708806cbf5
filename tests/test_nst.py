"""`import nst`: the public face under a name that nobody's `pipeline.py` shadows."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nst
import pipeline

ROOT = Path(__file__).parents[1]


def ran(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "script.py"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_it_has_the_names_of_the_pipeline() -> None:
    assert set(nst.__all__) - {"__version__"} == set(pipeline.__all__)
    assert nst.records is pipeline.records and nst.__version__ == pipeline.__version__


def test_a_worker_process_finds_the_same_package(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("raise RuntimeError('mine')\n")
    script = (
        "import nst, os\n"
        "from pipeline.schedule import worker\n"
        "if __name__ == '__main__':\n"
        "    slot = worker.ProcessPoolExecutor(max_workers=1)\n"
        "    with worker._own_path_first():\n"
        "        found = slot.submit(worker._cause_of_death, '').result()\n"
        "    print(found)\n"
    )
    found = ran(script, tmp_path)
    assert found.stdout == "its worker process died\n", found.stderr


@pytest.mark.long
def test_a_file_of_ones_own_called_pipeline_is_not_in_the_way(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("c.png")
    picture("s.png")
    (tmp_path / "pipeline.py").write_text("raise RuntimeError('mine')\n")
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
        "settings: {preset: draft, size: 48, steps: 1}\n"
    )
    script = (
        "import nst\n"
        "if __name__ == '__main__':\n"
        "    print(nst.run_batch_file('m.yaml', devices='cpu', quiet=True).done)\n"
    )
    found = ran(script, tmp_path)
    assert (found.returncode, found.stdout) == (0, "1\n"), found.stderr


def test_one_that_was_imported_before_is_told(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("")
    found = ran("import pipeline\nimport nst\n", tmp_path)
    assert found.returncode == 1
    assert "pipeline.py was imported by that name before; import nst first" in found.stderr
