"""`nst report`, `nst sheet`, `nst table`: a run as a page, a contact sheet, a table.

In: a run folder. Out: files, and where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline import report as reports  # whose names load arrays when they are asked for
from pipeline.commands.output import existing_run, print_warnings, say_left_out, stale_line
from pipeline.files import cannot_write
from pipeline.manifest import named_jobs
from pipeline.store import RunFolder, sample_of
from pipeline.terminal import counted, line, say

_MOST_SAID = 10  # names of a list that no picture has


def write_report(run: Path) -> int:
    """Writes a run's page and says where it is; of one in shards the page of a sample.

    Raises:
        RunFolderError: no run in this folder, or it cannot be written.
    """
    store = existing_run(run)
    shown = sample_of(store)
    built = reports.build_report(shown)
    jobs = counted(built.jobs, "job")
    of = f"a sample of {jobs}, from its shards" if shown is not store else ""
    say(f"{built.path}: {of or jobs}")
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
    path, count = (output, reports.write_table(store, output)) if output else write_own_table(store)
    say(f"{path}: {counted(count, 'job')}")
    say_left_out(store.left_out())
    return 0


def write_own_table(store: RunFolder) -> tuple[Path, int]:
    """Writes a run's table in its folder, Parquet where that can be written; where it is, and how
    many jobs it has. One of the other form, which would be of an earlier state, goes.

    Raises:
        RunFolderError: it cannot be written, or a shard is damaged.
    """
    names = ["metadata.parquet", "metadata.csv"]
    name = names[0] if reports.has_pyarrow() else names[1]
    path = store.path / name
    count = reports.write_table(store, path)
    try:
        for other in names:
            if other != name:
                store.inside.remove(store.path / other)
    except OSError as error:
        raise cannot_write(store.path, error) from error
    return path, count


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
    """Writes a run's contact sheet, of one in shards of a sample, and says where it is."""
    shown = sample_of(existing_run(run)).path
    beside = sample_of(existing_run(other)).path if other else None
    left_out = reports.make_sheet(shown, rows, cols, output, tile, beside, chosen)
    say(output)
    say_left_out(left_out)
    if chosen is not None:
        _say_unnamed(shown, chosen)
    return 0


def _say_unnamed(run: Path, chosen: reports.Chosen) -> None:
    """Names and globs that none of the pictures has, on standard error."""
    for option, jobs in (("--favorites", chosen.only), ("--reject", chosen.without)):
        names = (record.name for record in RunFolder(run).records())
        nothing = jobs.naming_nothing(names) if jobs else ()
        if nothing:
            more = f", and {len(nothing) - _MOST_SAID:,} more" if len(nothing) > _MOST_SAID else ""
            said = ", ".join(map(repr, nothing[:_MOST_SAID]))
            print_warnings([f"{option}: no picture in {run} has the name {said}{more}"])
