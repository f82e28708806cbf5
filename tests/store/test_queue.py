"""Jobs shared out among processes: none twice, a dead one's taken over."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from worlds import World

from pipeline.errors import RunFolderError
from pipeline.plan import Job
from pipeline.store import Queue, RunFolder, RunLock, joining
from pipeline.store import queue as queue_module


class Process:
    """A part of the run as another process would hold it."""

    def __init__(self, path: Path) -> None:
        with joining(RunFolder(path)) as self.part:
            self.store = RunFolder(path, self.part)
            self.lock = RunLock(self.store)
            self.lock.__enter__()
        self.queue = Queue(self.store)

    def die(self) -> None:
        self.lock._lock.release()

    def wait(self) -> bool:
        return self.queue.wait(lambda: False, 0.0)


@pytest.fixture
def here(world: Callable[[list[int]], World]) -> World:
    return world([1, 2, 3, 4])


def _names(jobs: list[Job]) -> list[str]:
    return [job.name for job in jobs]


def test_no_job_is_claimed_twice(here: World) -> None:
    first, second = Process(here.store.path), Process(here.store.path)
    assert (first.part, second.part) == ("1-of-auto", "2-of-auto")
    jobs = list(here.plan.jobs())
    assert first.queue.claim(jobs[:2]) == tuple(jobs[:2])
    assert second.queue.claim(jobs) == tuple(jobs[2:])
    assert first.queue.claim(jobs) == tuple(jobs[:2])  # tried again, its own stay its own
    assert not second.queue.takes(jobs[0]) and second.queue.takes(jobs[3])


def test_what_is_done_by_now_is_not_claimed(here: World) -> None:
    here.run()
    only = Process(here.store.path)
    jobs = list(here.plan.jobs())
    assert only.queue.claim(jobs) == ()


def test_a_dead_ones_jobs_are_taken_over_once(here: World) -> None:
    first, second = Process(here.store.path), Process(here.store.path)
    jobs = list(here.plan.jobs())
    first.queue.claim(jobs[:2])
    assert second.queue.claim(jobs) == tuple(jobs[2:])
    first.die()
    assert second.wait()
    assert second.queue.claim(jobs[:2]) == tuple(jobs[:2])
    assert not second.wait()


def test_one_that_ended_with_all_its_jobs_leaves_nothing(here: World) -> None:
    first, second = Process(here.store.path), Process(here.store.path)
    jobs = list(here.plan.jobs())
    first.queue.claim(jobs[:2])
    second.queue.claim(jobs)
    assert not first.queue.wait(lambda: True)  # is idle now
    assert not second.wait()
    first.die()
    assert not second.wait()
    assert second.queue.claim(jobs[:2]) == ()  # they failed, say: not tried again


def test_what_any_part_has_claimed_is_not_taken_back(here: World) -> None:
    here.run()
    first, second = Process(here.store.path), Process(here.store.path)
    jobs = list(here.plan.jobs())
    records = [(path, path.read_bytes()) for path in map(here.store.record_path, _names(jobs))]
    assert first.queue.take_back(jobs) == 4
    first.queue.claim(jobs[:3])
    for path, data in records:  # as the first part makes them anew
        path.write_bytes(data)
    assert second.queue.take_back(jobs) == 1
    first.die()
    assert Process(here.store.path).queue.take_back(jobs) == 0  # nor a dead part's
    assert [here.store.is_done(job.name, job.key, job.settings) for job in jobs] == [
        True, True, True, False
    ]  # fmt: skip


def test_a_record_that_cannot_be_taken_back_is_told(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.run()
    only = Process(here.store.path)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(only.store.inside, "remove", refuse)
    with pytest.raises(RunFolderError, match=r"seed-1\.json: cannot be written"):
        only.queue.take_back(list(here.plan.jobs()))


def test_who_waits_ends_when_it_is_asked_to(here: World) -> None:
    first, second = Process(here.store.path), Process(here.store.path)
    first.queue.claim(list(here.plan.jobs()))
    asked = iter([False, False, True])
    assert not second.queue.wait(lambda: next(asked), 0.0)


def test_where_nobody_runs_the_queue_begins_anew(here: World) -> None:
    first = Process(here.store.path)
    jobs = list(here.plan.jobs())
    first.queue.claim(jobs)
    first.queue.wait(lambda: True)
    (here.store.path / "run-7-of-auto.json").write_text("{}")
    first.die()
    again = Process(here.store.path)
    assert again.part == "1-of-auto" and again.queue.claim(jobs) == tuple(jobs)
    assert not (here.store.path / "run-7-of-auto.json").exists()


def test_a_disk_whose_locks_do_not_hold_is_refused(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Open(FileLock):
        def _acquire(self) -> None:
            self._context.lock_file_fd = 1

        def _release(self) -> None:
            self._context.lock_file_fd = None

    monkeypatch.setattr(queue_module, "FileLock", Open)
    with pytest.raises(RunFolderError, match=r"whose locks hold; here use --shard 1/n"):
        with joining(here.store):
            pass


def test_a_lock_that_is_held_for_long_is_told(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Process(here.store.path)
    monkeypatch.setattr(queue_module, "_WAIT_S", 0.0)
    with FileLock(here.store.path / ".nst/queue/lock"):
        with pytest.raises(RunFolderError, match="held by another process"):
            first.queue.claim(list(here.plan.jobs()))
        with pytest.raises(RunFolderError, match="held by another process"):
            with joining(here.store):
                pass


def test_a_queue_that_is_gone_is_told(here: World) -> None:
    first = Process(here.store.path)
    (here.store.path / ".nst/queue/1-of-auto.claims").unlink()
    (here.store.path / ".nst/queue/1-of-auto.claims").mkdir()
    with pytest.raises(RunFolderError, match="cannot be written"):
        first.queue.claim(list(here.plan.jobs()))
