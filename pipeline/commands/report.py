"""`nst report` and `nst sheet`: a run as a page, and as a contact sheet.

In: a run folder. Out: files, and where they are.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.commands.output import existing_run, say_left_out, stale_line
from pipeline.report import build_report, make_sheet
from pipeline.terminal import line, say


def write_report(run: Path) -> int:
    """Writes a run's page and says where it is.

    Raises:
        RunFolderError: no run in this folder, or it cannot be written.
    """
    store = existing_run(run)
    built = build_report(store)
    say(f"{built.path}: {built.jobs} jobs")
    if stale := len(store.stale()):
        say(line(stale_line(stale, run)))
    say_left_out(built.left_out)
    return 0


def write_sheet(
    run: Path, rows: str, cols: str, output: Path, tile: int, other: Path | None
) -> int:
    """Writes a run's contact sheet and says where it is."""
    existing_run(run)
    if other:
        existing_run(other)
    left_out = make_sheet(run, rows, cols, output, tile, other)
    say(output)
    say_left_out(left_out)
    return 0
