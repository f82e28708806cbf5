"""Live state: the request to stop, and the slots' news."""

import shutil
from pathlib import Path

import pytest

from pipeline.store import RunFolder, SlotState


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    store = RunFolder(tmp_path / "run", "1-of-2")
    store.begin("", {})
    return store


def test_each_shard_is_asked_to_stop_by_itself(folder: RunFolder) -> None:
    other = RunFolder(folder.path, "2-of-2")
    folder.live.ask_to_stop()
    assert folder.live.stop_asked() and not other.live.stop_asked()
    folder.end()
    assert not folder.live.stop_asked()


def test_the_news_of_all_shards_is_seen(folder: RunFolder) -> None:
    other = RunFolder(folder.path, "2-of-2")
    other.begin("", {})
    for number, store in enumerate((folder, other)):
        store.live.write_slot(SlotState(slot=str(number), time=1.0, pid=7))
    assert [state.slot for state in RunFolder(folder.path).live.slots()] == ["0", "1"]
    assert [state.slot for state in other.live.slots(own=True)] == ["1"]
    assert folder.live.slot("0") is not None and folder.live.slot("1") is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"slot": "0"}'])
def test_news_that_is_just_being_written_is_no_news(folder: RunFolder, data: bytes) -> None:
    (folder.temporary / "slot-0.json").write_bytes(data)
    assert folder.live.slot("0") is None and folder.live.slots() == []


def test_news_that_cannot_be_written_costs_no_job(folder: RunFolder) -> None:
    shutil.rmtree(folder.temporary)
    folder.live.write_slot(SlotState(slot="0", time=1.0, pid=7))
    assert folder.live.slot("0") is None
