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
    assert feed.after(1) is second and feed.next() is None
    feed.stopped = False
    assert feed.next() is second and feed.after(1) is None and feed.next() is None


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
    following = feed.after(1, two)
    assert following is not None and following.jobs == jobs[2:4]
    larger = feed.next(1)
    assert larger is not None and (larger.number, larger.jobs) == (0, jobs[2:])
    nothing = feed.next(0, lambda width, height: 0)
    assert nothing is not None and (nothing.number, nothing.jobs) == (1, jobs[:1])
