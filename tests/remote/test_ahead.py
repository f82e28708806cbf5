"""Fetching ahead: in order, so many at once, and each before it is needed."""

import threading

import pytest

from pipeline.remote import fetched_ahead, mapped_ahead


def test_entries_come_in_order_each_fetched() -> None:
    fetched: set[int] = set()
    for number in fetched_ahead(range(200), fetched.add):
        assert number in fetched
    assert fetched == set(range(200))


def test_no_more_than_so_many_are_fetched_ahead() -> None:
    taken: list[int] = []

    def entries() -> object:
        for number in range(1000):
            taken.append(number)
            yield number

    stream = fetched_ahead(entries(), lambda _: None)  # type: ignore[arg-type]
    assert next(iter(stream)) == 0 and len(taken) == 65


def test_several_are_fetched_at_once() -> None:
    together = threading.Barrier(8, timeout=30)
    assert list(fetched_ahead(range(8), lambda _: together.wait())) == list(range(8))


def test_what_fails_is_left_to_whoever_reads_it() -> None:
    def fail(_: int) -> None:
        raise OSError("gone")

    assert list(fetched_ahead(range(3), fail)) == [0, 1, 2]


def test_an_error_of_the_stream_is_raised() -> None:
    def entries() -> object:
        yield 1
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        list(fetched_ahead(entries(), lambda _: None))  # type: ignore[arg-type]


def test_results_come_in_order_of_several_at_once() -> None:
    together = threading.Barrier(8, timeout=30)

    def square(number: int) -> int:
        together.wait()
        return number**2

    assert list(mapped_ahead(range(64), square)) == [number**2 for number in range(64)]


def test_what_fails_is_raised_in_its_turn() -> None:
    found = mapped_ahead([1, 0, 1], lambda number: 1 // number)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
