"""A worker's side of the pipe."""

import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest

from pipeline.plan import Batch
from pipeline.schedule.engine import Guarded
from pipeline.schedule.serving import Begun, Finished, Give, GivenBack, TakeBack, serve
from pipeline.slot import Report

BROKEN = Guarded(None, "CUDA error", broken=True)


def report(number: int) -> Report:
    return Report((), str(number), "fake", {}, 0.0)


class Driver:
    """The driver's end of a worker whose batches end when they are let go."""

    def __init__(self) -> None:
        self.pipe, theirs = Pipe()
        self.ahead: list[int | None] = []
        self.through: dict[int, Any] = {}
        self.errors: list[Exception] = []
        self.gates = {number: threading.Event() for number in range(5)}
        self.thread = threading.Thread(target=self._serve, args=(theirs,), daemon=True)
        self.thread.start()

    def _serve(self, pipe: Connection) -> None:
        try:
            serve(pipe, self._begin, self._look_ahead)
        except Exception as error:  # noqa: BLE001 (for the test to look at)
            self.errors.append(error)

    def _begin(self, batch: Batch) -> Any:
        assert self.gates[batch.number].wait(20)
        return self.through.get(batch.number, BROKEN)

    def _look_ahead(self, batch: Batch | None) -> None:
        self.ahead.append(batch.number if batch else None)

    def give(self, *numbers: int) -> None:
        for number in numbers:
            self.pipe.send(Give(number, Batch(number, (), ())))

    def let_go(self, number: int, through: Any) -> None:
        self.through[number] = through
        self.gates[number].set()

    def hear(self) -> Any:
        assert self.pipe.poll(20)
        return self.pipe.recv()


@pytest.fixture
def driver() -> Iterator[Driver]:
    found = Driver()
    yield found
    for gate in found.gates.values():
        gate.set()
    found.pipe.close()
    found.thread.join(20)
    assert not found.thread.is_alive()


def waits_for(gate: threading.Event, number: int) -> Callable[[], Report]:
    def written() -> Report:
        assert gate.wait(20)
        return report(number)

    return written


def test_a_batch_begins_while_the_one_before_is_written_and_they_end_in_order(
    driver: Driver,
) -> None:
    gate = threading.Event()
    driver.give(0, 1)
    assert driver.hear() == Begun(0)
    driver.let_go(0, waits_for(gate, 0))
    assert driver.hear() == Begun(1)
    driver.let_go(1, Guarded(report(1)))  # is over before the first one is
    assert not driver.pipe.poll(0.1)
    gate.set()
    assert driver.hear() == Finished(0, Guarded(report(0)))
    assert driver.hear() == Finished(1, Guarded(report(1)))
    driver.let_go(2, Guarded(report(2)))
    driver.give(2)
    assert [driver.hear() for _ in range(2)] == [Begun(2), Finished(2, Guarded(report(2)))]


def test_a_batch_that_waits_is_looked_ahead_to_and_can_be_taken_back(driver: Driver) -> None:
    driver.give(0, 1)
    assert driver.hear() == Begun(0)
    driver.pipe.send(TakeBack(0))  # too late
    driver.pipe.send(TakeBack(1))
    assert driver.hear() == GivenBack(1)
    assert driver.ahead == [1, None]
    driver.let_go(0, Guarded(report(0)))
    assert driver.hear() == Finished(0, Guarded(report(0)))
    assert not driver.pipe.poll(0.1)


def test_an_error_while_writing_is_caught_and_told(driver: Driver) -> None:
    def written() -> Report:
        raise RuntimeError("no codec")

    driver.give(0)
    driver.let_go(0, written)
    assert driver.hear() == Begun(0)
    said = driver.hear()
    assert said.found.report is None and said.found.lost == "RuntimeError: no codec"
    assert "Traceback" in said.found.trace and not said.found.broken


def test_on_a_broken_device_nothing_more_begins_and_what_is_written_is_told_first(
    driver: Driver,
) -> None:
    gate = threading.Event()
    driver.give(0, 1, 2)
    driver.let_go(0, waits_for(gate, 0))
    driver.let_go(1, BROKEN)
    assert [driver.hear() for _ in range(2)] == [Begun(0), Begun(1)]
    gate.set()
    assert driver.hear() == Finished(0, Guarded(report(0)))
    assert driver.hear() == Finished(1, BROKEN)
    driver.thread.join(20)
    assert not driver.thread.is_alive()


def test_what_cannot_be_read_from_the_pipe_ends_the_worker_with_its_error(driver: Driver) -> None:
    driver.pipe.send_bytes(b"\x80\x04no pickle")
    driver.thread.join(20)
    assert not driver.thread.is_alive()
    assert [type(error).__name__ for error in driver.errors] == ["UnpicklingError"]
