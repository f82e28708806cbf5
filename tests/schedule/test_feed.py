"""What is run next."""

from collections.abc import Callable

from worlds import World

from pipeline.method import Scale
from pipeline.plan import Batch
from pipeline.schedule.feed import Feed


def test_a_lost_batch_comes_back_in_halves(world: Callable[[list[int]], World]) -> None:
    jobs = tuple(world(list(range(5))).plan.jobs())
    feed = Feed(iter([]))
    feed.put_back_halved(Batch(0, jobs, ()))
    first, second = feed.next(), feed.next()
    assert first is not None and second is not None
    assert (len(first.jobs), len(second.jobs)) == (3, 2)
    assert first.attempts == second.attempts == 1
    assert feed.next() is None


def test_a_look_at_what_comes_next_takes_nothing_away() -> None:
    first, second = (Batch(number, (), ()) for number in (0, 1))
    feed = Feed(iter([first, second]))
    assert feed.after(1) is first and feed.next() is first
    feed.stopped = True
    assert feed.after(1) is second and feed.peek() is None and feed.next() is None
    feed.stopped = False
    assert (
        feed.peek() is second
        and feed.next() is second
        and feed.peek() is None
        and feed.next() is None
    )


def test_a_batch_that_was_not_at_fault_comes_back_first_and_as_it_is() -> None:
    first, second = (Batch(number, (), ()) for number in (0, 1))
    feed = Feed(iter([first, second]))
    assert feed.next() is first
    feed.put_back(first)
    assert feed.next() is first and feed.next() is second


def test_a_slot_takes_as_much_of_a_batch_as_it_holds(
    world: Callable[[list[int]], World],
) -> None:
    jobs = tuple(world(list(range(5))).plan.jobs())
    scales = (Scale(64, 48, 1.0, 1, 1.0),)
    feed = Feed(iter([Batch(0, jobs, scales), Batch(1, jobs, scales)]))
    asked = []

    def two(width: int, height: int) -> int:
        asked.append((width, height))
        return 2

    first = feed.next(0, two)
    assert first is not None and first.jobs == jobs[:2] and asked == [(64, 48)]
    larger = feed.next(1)
    assert larger is not None and (larger.number, larger.jobs) == (0, jobs[2:])
    nothing = feed.next(0, lambda width, height: 0)
    assert nothing is not None and (nothing.number, nothing.jobs) == (1, jobs[:1])


def test_a_batch_that_is_to_blame_is_for_any_slot() -> None:
    once, twice = Batch(0, (), (), spoilt=(1,)), Batch(1, (), (), spoilt=(0, 1))
    feed = Feed(iter([]))
    feed.put_first([once, twice])
    assert feed.next(1) is twice and feed.next(1) is None and feed.next(0) is once


def test_what_is_to_be_run_alone_waits_behind_nothing_and_is_not_claimed_for_it() -> None:
    lone, other = Batch(0, (), (), alone=True), Batch(1, (), ())
    asked: list[int] = []

    def claim(batch: Batch) -> Batch:
        asked.append(batch.number)
        return batch

    feed = Feed(iter([other]), claim)
    feed.put_first([lone])
    assert feed.next(0, behind=True) is other and feed.next(0, behind=True) is None
    assert asked == [1] and feed.next(0) is lone
