"""What is run next."""

from collections.abc import Callable

from worlds import World

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
    assert feed.after(1) is second and feed.next() is None
    feed.stopped = False
    assert feed.next() is second and feed.after(1) is None and feed.next() is None


def test_a_batch_that_was_not_at_fault_comes_back_first_and_as_it_is() -> None:
    first, second = (Batch(number, (), ()) for number in (0, 1))
    feed = Feed(iter([first, second]))
    assert feed.next() is first
    feed.put_back(first)
    assert feed.next() is first and feed.next() is second
