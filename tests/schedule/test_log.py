"""`run.log`."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.schedule.log import open_log
from pipeline.store import RunFolder


def test_later_runs_add_lines_with_time_and_level(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    for word in ("first", "second"):
        with open_log(store) as log:
            log.warning("the %s run", word)
    lines = store.log.read_text().splitlines()
    assert [line[24:] for line in lines] == ["WARNING the first run", "WARNING the second run"]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", line) for line in lines)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_costs_the_log_and_not_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    inside = SimpleNamespace(writable=lambda path: path)
    store: Any = SimpleNamespace(path=Path("x"), log=Path("/dev/full"), inside=inside)
    with open_log(store) as log:
        log.error("lost")
    assert capsys.readouterr().err == ""
