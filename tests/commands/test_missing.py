"""What a run's end says of classes and styles."""

from pipeline.commands.missing import missing_lines
from pipeline.store import Summary, Tally


def of(jobs: int, done: int, failed: int = 0) -> Tally:
    return Tally(jobs=jobs, done=done, failed=failed)


def test_what_lacks_most_comes_first() -> None:
    classes = {"cat": of(4, 4), "dog": of(9, 7, 1), "owl": of(5, 1, 4)}
    summary = Summary(jobs=18, classes=classes, styles={"wave": of(9, 9), "mosaic": of(9, 9)})
    assert list(missing_lines(summary)) == [
        "missing by class: owl 4 of 5 (4 failed), dog 2 of 9 (1 failed); complete: 1",
        "complete: all 2 styles",
    ]


def test_many_are_counted_and_one_alone_is_not_told() -> None:
    classes = {f"{n:03}": of(2, 1) for n in range(1500)}
    (line,) = missing_lines(Summary(jobs=3000, classes=classes, styles={"wave": of(9, 1)}))
    assert line.startswith("missing by class: 000 1 of 2, 001 1 of 2")
    assert line.endswith("and 1,495 classes more; complete: 0")
