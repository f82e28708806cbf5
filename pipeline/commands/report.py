"""`nst report`, `nst sheet`, `nst table`: a run as a page, a contact sheet, a table.

In: a run folder. Out: files, and where they are.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.commands.output import existing_run, say_left_out, stale_line
from pipeline.report import build_report, has_pyarrow, make_sheet, write_table
from pipeline.store import RunFolder
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


def write_table_of(run: Path, output: Path | None) -> int:
    """Writes a run's table, `metadata.csv` in it unless told, and says where it is.

    Raises:
        EngineError: a suffix that is none of a table, or a package is missing.
        RunFolderError: no run in this folder, or the file cannot be written.
    """
    store = existing_run(run)
    path = output or table_path(store)
    said = f"{path}: {write_table(store, path)} jobs"
    say(said)
    say_left_out(store.left_out())
    return 0


def table_path(store: RunFolder) -> Path:
    """Where a run's table lies: Parquet where that can be written."""
    name = "metadata.parquet" if has_pyarrow() else "metadata.csv"
    return store.path / name


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
