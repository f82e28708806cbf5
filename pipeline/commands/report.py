"""`nst report`, `nst sheet`, `nst table`: a run as a page, a contact sheet, a table.

In: a run folder. Out: files, and where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline import report as reports  # whose names load arrays when they are asked for
from pipeline.commands.output import existing_run, say_left_out, stale_line
from pipeline.manifest import named_jobs
from pipeline.store import RunFolder
from pipeline.terminal import line, say


def write_report(run: Path) -> int:
    """Writes a run's page and says where it is.

    Raises:
        RunFolderError: no run in this folder, or it cannot be written.
    """
    store = existing_run(run)
    built = reports.build_report(store)
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
    said = f"{path}: {reports.write_table(store, path)} jobs"
    say(said)
    say_left_out(store.left_out())
    return 0


def table_path(store: RunFolder) -> Path:
    """Where a run's table lies: Parquet where that can be written."""
    name = "metadata.parquet" if reports.has_pyarrow() else "metadata.csv"
    return store.inside.writable(store.path / name)


def choose_pictures(
    favorites: Sequence[str], rejected: Sequence[str], title: str | None
) -> reports.Chosen:
    """Which pictures of a run are meant.

    Args:
        favorites, rejected: names, globs, or lists of them in `.txt` files.

    Raises:
        ManifestError: a list is not there or cannot be read.
    """
    only = named_jobs(favorites, Path()) if favorites else None
    return reports.Chosen(only, named_jobs(rejected, Path()), title)


def write_sheet(
    run: Path,
    rows: str | None,
    cols: str | None,
    output: Path,
    tile: int,
    other: Path | None,
    chosen: reports.Chosen | None = None,
) -> int:
    """Writes a run's contact sheet and says where it is."""
    existing_run(run)
    if other:
        existing_run(other)
    left_out = reports.make_sheet(run, rows, cols, output, tile, other, chosen)
    say(output)
    say_left_out(left_out)
    return 0
