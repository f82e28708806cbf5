"""A run folder in remote storage: whole objects, records last, and nothing taken for empty."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.address import Address, as_path
from pipeline.errors import RunFolderError
from pipeline.manifest import Settings
from pipeline.remote import get, listing, look, put, steady
from pipeline.store import About, Failure, RunFolder, bucket
from pipeline.store.inside import Inside, state_of


def address(word: str) -> Address:
    found = as_path(word)
    assert isinstance(found, Address)
    return found


RUN = address("memory://bucket/run")
KEY = "a" * 64


@pytest.fixture
def inside() -> Inside:
    return Inside(RUN)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], None]:
    """Has one of fsspec's methods fail."""
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr(steady.time, "sleep", lambda _: None)

    def breaks(method: str, error: Exception) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(MemoryFileSystem, method, fail)

    return breaks


def write_job(store: RunFolder, name: str, key: str = KEY, image: bytes = b"picture") -> None:
    about = About.model_construct()
    store.write_job(name, key, Settings(), image, (1, 1), about)


def test_files_are_written_read_listed_and_deleted(inside: Inside) -> None:
    inside.write(RUN / "images/a/one.json", b"{}")
    inside.write(RUN / "images/two.json", b"[]")
    inside.write(RUN / "run.json", b"{}")
    inside.write(RUN / "run-1-of-2.json", b"{}")
    assert inside.read(RUN / "images/two.json") == b"[]"
    assert inside.size(RUN / "images/two.json") == 2
    assert sorted(inside.walk(RUN / "images")) == ["a/one.json", "two.json"]
    assert list(inside.files(RUN, "run*.json")) == [RUN / "run-1-of-2.json", RUN / "run.json"]
    assert len(list(inside.files(RUN / "images", "**/*.json"))) == 2
    assert list(inside.files(RUN / "none", "**/*")) == [] == list(inside.walk(RUN / "none"))
    inside.remove(RUN / "run.json")
    inside.remove(RUN / "run.json")  # gone already
    assert not inside.is_file(RUN / "run.json")
    inside.remove_tree(RUN / "images")
    inside.remove_tree(RUN / "images")
    assert list(inside.walk(RUN / "images")) == []


def test_nothing_outside_of_the_run_is_reached(inside: Inside) -> None:
    put(address("memory://bucket/other.json"), b"{}")
    for outside in (address("memory://bucket/other.json"), RUN / ".." / "other.json"):
        for reach in (inside.read, inside.size, inside.open, inside.place, inside.remove):
            with pytest.raises(OSError) as told:
                reach(outside)
            assert told.value.errno == errno.ELOOP
        assert not inside.is_file(outside)
        with pytest.raises(RunFolderError, match="leads out"):
            inside.write(outside, b"")
        with pytest.raises(RunFolderError, match="leads out"):
            inside.writable(outside)
    assert get(address("memory://bucket/other.json"), 9) == b"{}"


def test_a_draft_is_sent_whole(inside: Inside) -> None:
    draft = state_of(RUN) / "tmp" / "shard.tar"
    inside.make_folder(draft.parent)
    draft.write_bytes(b"tar")
    inside.replace(draft, RUN / "shards" / "000000.tar")
    assert inside.read(RUN / "shards" / "000000.tar") == b"tar" and not draft.exists()
    with inside.open(RUN / "shards" / "000000.tar") as file:
        assert file.read() == b"tar"


def test_moving_is_copying_then_deleting(inside: Inside) -> None:
    inside.write(RUN / "images/a.png", b"a")
    inside.write(RUN / "frames/a/1.jpg", b"1")
    inside.write(RUN / "frames/a/2.jpg", b"2")
    inside.move(RUN / "images/a.png", RUN / "images/b.png")
    inside.move(RUN / "frames/a", RUN / "frames/b")
    inside.move(RUN / "frames/none", RUN / "frames/c")
    assert sorted(inside.walk(RUN)) == ["frames/b/1.jpg", "frames/b/2.jpg", "images/b.png"]


def test_lines_are_added_to_what_another_machine_sent(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = RUN / "run.log"
    with inside.writable(log).open("ab") as file:
        file.write(b"one\n")
    assert look(log) is None
    inside.send(log)
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "another machine"))
    other = Inside(RUN)
    with other.writable(log).open("ab") as file:
        file.write(b"two\n")
    other.send(log)
    assert get(log, 99) == b"one\ntwo\n"
    assert other.send(RUN / "never-begun.log") == 0


def test_a_job_is_done_by_its_record_key_and_length() -> None:
    store = RunFolder(RUN)
    write_job(store, "cat__wave")
    assert sorted(listing(RUN)) == ["images/cat__wave.json", "images/cat__wave.png"]
    fresh = RunFolder(RUN)
    assert fresh.is_done("cat__wave", KEY, Settings())
    assert not fresh.is_done("cat__wave", "b" * 64, Settings())
    assert not fresh.is_done("dog__wave", KEY, Settings())
    put(RUN / "images/cat__wave.png", b"cut")
    assert not RunFolder(RUN).is_done("cat__wave", KEY, Settings())
    RunFolder(RUN).inside.remove(RUN / "images/cat__wave.png")
    assert not RunFolder(RUN).is_done("cat__wave", KEY, Settings())


def test_what_was_not_listed_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    store = RunFolder(RUN)
    write_job(store, "cat__wave")
    store = RunFolder(RUN)
    assert store.is_done("cat__wave", KEY, Settings())
    monkeypatch.setattr(bucket, "look", lambda _: pytest.fail("looked"))
    monkeypatch.setattr(bucket, "get", lambda *_: pytest.fail("read"))
    assert not store.is_done("dog__wave", KEY, Settings())
    monkeypatch.undo()
    write_job(store, "dog__wave")  # what this one writes it knows
    assert store.is_done("dog__wave", KEY, Settings())


def test_what_a_worker_did_since_is_seen_when_it_is_asked_for() -> None:
    store = RunFolder(RUN)
    assert not store.is_done("cat__wave", KEY, Settings())
    write_job(RunFolder(RUN), "cat__wave")  # as in another process
    assert not store.is_done("cat__wave", KEY, Settings())
    assert store.now_done("cat__wave", KEY, Settings())


def test_records_are_fetched_before_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat__wave", "dog__wave"):
        write_job(RunFolder(RUN), name)
    store = RunFolder(RUN)
    for name in ("cat__wave", "dog__wave"):
        store.look_ahead(name)
    with pytest.raises(FileNotFoundError):
        store.look_ahead("none__wave")
    store.inside.remove(RUN / "images/dog__wave.json")
    monkeypatch.setattr(bucket, "get", lambda *_: pytest.fail("read"))
    assert store.is_done("cat__wave", KEY, Settings())
    assert not store.is_done("dog__wave", KEY, Settings())
    assert not store.is_done("none__wave", KEY, Settings())


@pytest.mark.parametrize("failing", [1, 2])
def test_a_write_that_fails_leaves_no_record_beside_another_picture(
    failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunFolder(RUN)
    write_job(store, "cat__wave")
    calls, plain = [], bucket.put

    def sometimes(path: Address, data: bytes) -> None:
        calls.append(path)
        if len(calls) == failing:
            raise OSError(errno.EIO, "not reached in 4 tries: reset")
        plain(path, data)

    monkeypatch.setattr(bucket, "put", sometimes)
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_job(store, "cat__wave", "b" * 64, b"another picture")
    assert [path.suffix for path in calls] == [".png", ".json"][:failing]
    assert look(RUN / "images/cat__wave.json") is None


@pytest.mark.parametrize("method", ["find", "ls"])
def test_a_storage_that_is_not_reached_is_no_empty_folder(
    broken: Callable[[str, Exception], None], method: str
) -> None:
    put(RUN / "images/a.json", b"{}")
    broken(method, ConnectionError("gone"))
    store = RunFolder(RUN)
    reach = {"find": lambda: store.is_done("a", KEY, Settings()), "ls": store.summaries}[method]
    with pytest.raises(RunFolderError, match="not reached in 4 tries"):
        reach()


def test_a_header_that_is_not_reached_is_no_new_run(
    broken: Callable[[str, Exception], None],
) -> None:
    put(RUN / "plan.json", b"{}")
    broken("cat_file", PermissionError("Access Denied"))
    with pytest.raises(RunFolderError, match="Access Denied; check credentials"):
        RunFolder(RUN).header()


def test_failures_are_sent_with_the_summary() -> None:
    store = RunFolder(RUN)
    failure = Failure(time="now", name="cat__wave", key=KEY, type="ImageError", error="gone")
    store.add_failure(failure)
    assert look(RUN / "failures.jsonl") is None
    store.send_lines()
    assert RunFolder(RUN).failures()["cat__wave"].error == "gone"


def test_long_lines_are_sent_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.store import run_folder

    clock = [100.0]
    monkeypatch.setattr(run_folder.time, "monotonic", lambda: clock[0])
    store, sent = RunFolder(RUN), []
    monkeypatch.setattr(store.inside, "send", lambda path: sent.append(path) or 2**20)
    store.send_lines(at_once=False)
    for clock[0] in (105.0, 129.0, 131.0):  # two MiB: three times ten seconds
        store.send_lines(at_once=False)
    assert len(sent) == 4
    store.end()
    assert len(sent) == 6


def test_the_end_of_a_run_stands_though_its_log_cannot_be_sent(
    broken: Callable[[str, Exception], None],
) -> None:
    store = RunFolder(RUN)
    store.begin("", {})
    store.inside.writable(store.log).write_text("x")
    broken("put_file", ConnectionError("gone"))
    store.end()
    assert not store.temporary.exists()
