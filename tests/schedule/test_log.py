"""`run.log`."""

import datetime
import errno
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.address import as_path
from pipeline.errors import RunFolderError
from pipeline.schedule.log import open_log
from pipeline.store import RunFolder, now
from pipeline.store.inside import Inside


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
    inside = SimpleNamespace(
        writable=lambda path: path, send=lambda path: 0, is_file=lambda path: False
    )
    store: Any = SimpleNamespace(path=Path("x"), log=Path("/dev/full"), inside=inside)
    with open_log(store) as log:
        log.error("lost")
    assert capsys.readouterr().err == ""


def test_a_file_is_of_one_form(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    for number, form in enumerate(("text", "json", "json", "text")):
        with open_log(store, form) as log:
            log.info("run %d", number)
    assert store.log.read_text().endswith(" INFO run 3\n")
    assert store.log.read_text().count("\n") == 1
    first, second = ((tmp_path / f"run.{n}.log").read_text() for n in (1, 2))
    assert first.endswith(" INFO run 0\n")
    assert [json.loads(line)["message"] for line in second.splitlines()] == ["run 1", "run 2"]


@pytest.mark.parametrize("where", ["disk", "memory://bucket/run"])
def test_a_log_that_cannot_be_put_aside_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    store = RunFolder(tmp_path if where == "disk" else as_path(where))
    store.inside.write(store.log, b"{}\n")

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "not reached in 4 tries: reset")

    monkeypatch.setattr(Inside, "move", fails)
    with pytest.raises(RunFolderError, match=r"run.log: cannot be written \(not reached in 4"):
        with open_log(store):
            pass


def test_entries_go_beside_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, beside = RunFolder(tmp_path / "run"), tmp_path / "all.log"
    store.path.mkdir()
    for form in ("text", "json"):
        with open_log(store, form, str(beside)) as log:
            log.info("a run")
    first, second = beside.read_text().splitlines()
    assert first.endswith(" INFO a run") and json.loads(second)["message"] == "a run"
    with open_log(store, "json", "-") as log:
        log.warning("seen")
    assert json.loads(capsys.readouterr().err)["message"] == "seen"
    assert json.loads(store.log.read_text().splitlines()[-1])["message"] == "seen"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(RunFolderError, match=r"--log .*none/x: cannot be written \(No such file"),
        open_log(RunFolder(tmp_path), "text", str(tmp_path / "none/x")),
    ):
        pass
