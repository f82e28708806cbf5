"""Who holds a remote run folder, without a lock that reaches it."""

import itertools
import json
import os
import socket
import subprocess
import sys

import pytest
from worlds import until

from pipeline.address import as_path
from pipeline.errors import RunFolderError
from pipeline.remote import get, look, put
from pipeline.store import Owner, RunFolder, RunLock, holder, is_alive

RUN = as_path("memory://bucket/run")
OWNER = RUN / ".nst" / "owner.json"
DEAD = 2**22 + 1  # no system gives such a number


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder, "BEAT_S", 0.02)
    monkeypatch.setattr(holder, "DEAD_AFTER_S", 0.1)


def holds(host: str, pid: int, path: object = OWNER, beat: int = 0) -> None:
    note = {"host": host, "pid": pid, "since": "then", "beat": beat}
    put(path, json.dumps(note).encode())  # type: ignore[arg-type]


def test_it_is_held_and_given_back() -> None:
    with RunLock(RunFolder(RUN)) as lock:
        assert lock.taken_over is None and look(OWNER) is not None  # type: ignore[arg-type]
        with pytest.raises(RunFolderError, match="in use by process"):
            RunLock(RunFolder(RUN)).__enter__()
    assert look(OWNER) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("held", ["owner-1-of-3.json", "owner.json"])
def test_a_shard_of_another_division_holds_it(held: str) -> None:
    holds("elsewhere", 7, OWNER.parent / held)
    with RunLock(RunFolder(RUN, "1-of-2")):  # it has died, as is seen after a while
        pass
    this = {"host": socket.gethostname(), "pid": os.getpid(), "since": "now"}
    put(OWNER.parent / held, json.dumps(this).encode())  # type: ignore[arg-type]
    with pytest.raises(RunFolderError, match="in use by process"):
        RunLock(RunFolder(RUN, "1-of-2")).__enter__()


def test_a_dead_process_of_this_machine_is_gone_on_for_at_once() -> None:
    holds(socket.gethostname(), DEAD)
    with RunLock(RunFolder(RUN)) as lock:
        assert lock.taken_over == f"process {DEAD} on {socket.gethostname()} since then"


@pytest.mark.skipif(os.name == "nt", reason="no zombies there")
def test_a_process_that_has_ended_and_that_nobody_waited_for_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    owner = Owner(host=socket.gethostname(), pid=process.pid, since="then")
    until(lambda: is_alive(owner) is False, 10.0)
    process.wait()
    assert is_alive(owner) is False
    assert is_alive(owner.model_copy(update={"pid": os.getpid()})) is True


def test_a_process_of_another_machine_without_a_sign_of_life_is_dead() -> None:
    holds("elsewhere", 7)
    with RunLock(RunFolder(RUN)) as lock:
        assert lock.taken_over == "process 7 on elsewhere since then"


def test_a_process_of_another_machine_that_gives_signs_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holds("elsewhere", 7)
    monkeypatch.setattr(holder.time, "sleep", lambda _: holds("elsewhere", 7, beat=1))
    with pytest.raises(RunFolderError, match="in use by process 7 on elsewhere"):
        RunLock(RunFolder(RUN)).__enter__()
    monkeypatch.undo()
    note = Owner.model_validate(json.loads(get(OWNER, 999)))  # type: ignore[arg-type]
    assert note.host == "elsewhere"  # nobody took it over


def test_one_that_ends_meanwhile_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    holds("elsewhere", 7)
    store = RunFolder(RUN)
    monkeypatch.setattr(holder.time, "sleep", lambda _: store.inside.remove(OWNER))
    with RunLock(store) as lock:
        assert lock.taken_over is None


def test_a_holder_gives_signs_of_life() -> None:
    import time

    with RunLock(RunFolder(RUN)):
        deadline = time.monotonic() + 30
        while json.loads(get(OWNER, 999)).get("beat", 0) < 2:  # type: ignore[arg-type]
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert look(OWNER) is None  # type: ignore[arg-type]


def test_shards_of_other_machines_run_side_by_side_but_not_beside_a_whole_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = RUN / ".nst" / "owner-2-of-2.json"
    holds("elsewhere", 7, other)
    beats = itertools.count(1)
    sign = lambda _: holds("elsewhere", 7, other, next(beats))  # noqa: E731
    monkeypatch.setattr(holder.time, "sleep", sign)
    with RunLock(RunFolder(RUN, "1-of-2")):
        pass
    with pytest.raises(RunFolderError, match="in use by process 7 on elsewhere"):
        RunLock(RunFolder(RUN)).__enter__()
    with pytest.raises(RunFolderError, match="in use"):
        RunLock(RunFolder(RUN, "2-of-2")).__enter__()


def test_a_storage_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "ls", refuse)
    with pytest.raises(RunFolderError, match="Access Denied; check credentials and rights"):
        RunLock(RunFolder(RUN)).__enter__()
    monkeypatch.undo()
    with RunLock(RunFolder(RUN)):  # what was refused holds nothing
        pass
