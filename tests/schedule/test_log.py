"""`run.log`."""

import datetime
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.schedule.log import open_log
from pipeline.store import RunFolder, now


def test_later_runs_add_lines_with_time_and_level(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    for word in ("first", "second"):
        with open_log(store) as log:
            log.warning("the %s run", word)
    lines = store.log.read_text().splitlines()
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 "
    assert [re.sub(moment, "", line) for line in lines] == [
        "WARNING the first run", "WARNING the second run"
    ]  # fmt: skip


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs a time zone of its own")
def test_its_times_are_those_of_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        store = RunFolder(tmp_path)
        with open_log(store) as log:
            log.info("now")
        said = datetime.datetime.fromisoformat(store.log.read_text().split(" ")[0])
        known = datetime.datetime.fromisoformat(now())
        assert said.utcoffset() == known.utcoffset() == datetime.timedelta()
        assert abs(said - known) < datetime.timedelta(minutes=5)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_as_json_each_entry_is_an_object(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    with open_log(store, "json") as log:
        log.error("failed: %s: %s", "a\x1b[2J", "two\nlines")
    (line,) = store.log.read_text().splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {"level": "ERROR", "message": "failed: a\x1b[2J: two\nlines"}
    assert "\x1b" not in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_costs_the_log_and_not_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    inside = SimpleNamespace(writable=lambda path: path, send=lambda path: 0)
    store: Any = SimpleNamespace(path=Path("x"), log=Path("/dev/full"), inside=inside)
    with open_log(store) as log:
        log.error("lost")
    assert capsys.readouterr().err == ""
