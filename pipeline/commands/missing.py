"""What is missing at a run's end, by class and by style.

In: a summary. Out: lines. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.store import Summary, Tally

_SHOWN = 5


def missing_lines(summary: Summary) -> Iterator[str]:
    """A line for classes and one for styles, where there are several; those that lack most first.

    Counted are the jobs that a run has looked at: of one that was stopped early, not all.
    """
    for kind, plural, rows in (
        ("class", "classes", summary.classes),
        ("style", "styles", summary.styles),
    ):
        if len(rows) > 1:
            yield _line(kind, plural, rows)


def _line(kind: str, plural: str, rows: Mapping[str, Tally]) -> str:
    lacking = {name: row["jobs"] - row["done"] for name, row in rows.items()}
    short = sorted((name for name in rows if lacking[name] > 0), key=lambda n: (-lacking[n], n))
    if not short:
        return f"complete: all {len(rows):,} {plural}"
    told = [_told(name, rows[name]) for name in short[:_SHOWN]]
    told += [f"and {len(short) - _SHOWN:,} {plural} more"] if len(short) > _SHOWN else []
    return f"missing by {kind}: {', '.join(told)}; complete: {len(rows) - len(short):,}"


def _told(name: str, row: Tally) -> str:
    failed = f" ({row['failed']:,} failed)" if row["failed"] else ""
    return f"{name} {row['jobs'] - row['done']:,} of {row['jobs']:,}{failed}"
