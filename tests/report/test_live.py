"""The page of a run that goes on: made while it does, once for all that is new."""

import threading
from pathlib import Path

import pytest

from pipeline.address import as_path
from pipeline.errors import RunFolderError
from pipeline.report import kept_fresh
from pipeline.report import live as live_module
from pipeline.report.page import Built
from pipeline.store import RunFolder, Summary


class Pages:
    """Stands in for `build_report`, and says when a page was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lives: list[bool] = []
        self.made = threading.Event()
        self.error: Exception | None = None
        monkeypatch.setattr(live_module, "build_report", self)
        monkeypatch.setattr(live_module, "_EVERY_S", 0.01)
        monkeypatch.setattr(live_module, "_SHARE", 1e9)

    def __call__(self, store: RunFolder, *, live: bool = False) -> Built:
        self.lives.append(live)
        self.made.set()
        if self.error:
            raise self.error
        return Built(store.path, 0, ())

    def wait(self) -> None:
        assert self.made.wait(20)
        self.made.clear()


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Pages:
    return Pages(monkeypatch)


@pytest.fixture
def begun(run: Path) -> RunFolder:
    store = RunFolder(run)
    store.begin("", {"jobs": 8, "backbone": {"name": "lite"}})
    store.write_summary(Summary(jobs=8, done=1))
    return store


def test_a_page_is_made_during_the_run_whenever_something_is_new(
    begun: RunFolder, pages: Pages
) -> None:
    with kept_fresh(begun, 100, 0):
        pages.wait()
        begun.write_summary(Summary(jobs=8, done=2))
        pages.wait()
        assert not pages.made.wait(0.2)  # nothing new, no page
    assert pages.lives == [True, True]


def test_large_runs_and_those_that_have_not_begun_have_no_page(
    begun: RunFolder, tmp_path: Path, pages: Pages
) -> None:
    for store, most in ((begun, 7), (RunFolder(tmp_path / "none"), 100)):
        with kept_fresh(store, most, 0):
            assert not pages.made.wait(0.2)
    assert pages.lives == []


def test_a_run_that_ends_by_an_error_leaves_no_page_that_waits_for_more(
    begun: RunFolder, pages: Pages
) -> None:
    with pytest.raises(KeyError):
        with kept_fresh(begun, 100, 0):
            pages.wait()
            raise KeyError("broken")
    assert pages.lives == [True, False]


@pytest.mark.parametrize("error", [RunFolderError("no space"), OSError("no rights")])
def test_a_page_that_cannot_be_made_costs_the_run_nothing(
    begun: RunFolder, pages: Pages, error: Exception
) -> None:
    pages.error = error
    with kept_fresh(begun, 100, 0):
        pages.wait()
        begun.write_summary(Summary(jobs=8, done=2))
        assert not pages.made.wait(0.2)
    assert pages.lives == [True]


def test_a_storage_that_goes_away_and_comes_back_has_its_page(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    store = RunFolder(as_path("memory://bucket/run"))
    store.begin("", {"jobs": 8, "backbone": {"name": "lite"}})
    store.write_summary(Summary(jobs=8, done=1))
    asked = threading.Event()
    plain = RunFolder.header

    def gone(_: RunFolder) -> None:
        asked.set()
        raise RunFolderError("not reached")

    with kept_fresh(store, 100, 0):
        pages.wait()
        monkeypatch.setattr(RunFolder, "header", gone)
        assert asked.wait(20)
        store.write_summary(Summary(jobs=8, done=2))
        monkeypatch.setattr(RunFolder, "header", plain)
        pages.wait()
        pages.error = RunFolderError("not reached")  # while the page is made
        store.write_summary(Summary(jobs=8, done=3))
        pages.wait()
        pages.error = None
        pages.wait()  # the same again, though nothing is new
    assert "Traceback" not in capfd.readouterr().err


def test_a_disk_that_says_nothing_of_the_run_has_no_more_pages(
    begun: RunFolder, pages: Pages, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def gone(_: RunFolder) -> None:
        raise OSError("stale file handle")

    monkeypatch.setattr(RunFolder, "header", gone)
    with kept_fresh(begun, 100, 0):
        assert not pages.made.wait(0.2)
    assert "Traceback" not in capfd.readouterr().err
