"""One table of all of a run's jobs, as CSV or Parquet, done and failed ones.

In: a run folder. Out: a file with a row a job. Rows are read twice and never held at once; Parquet
needs the package pyarrow, an extra.
"""

from __future__ import annotations

import csv
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import EngineError, install
from pipeline.files import draft_of
from pipeline.plan import split_and_class_of
from pipeline.store import Failure, Record, RunFolder, open_failures, placed_records, sample_key

FORMATS = (".csv", ".parquet")
_ROWS_AT_ONCE = 10_000


def write_table(store: RunFolder, path: Path) -> int:
    """Writes a run's table, whole or not at all; returns the number of rows.

    Lists are JSON text.

    Raises:
        EngineError: a suffix that is not of `FORMATS`, or pyarrow is missing.
        RunFolderError: the file cannot be written, or a tar shard is damaged.
    """
    if path.suffix.lower() not in FORMATS:
        raise EngineError(f"{path}: a table is {' or '.join(FORMATS)}, by its suffix")
    write = _write_csv if path.suffix.lower() == ".csv" else _parquet_writer()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape") as spool:
        columns: dict[str, set[type]] = {}
        count = 0
        for row in rows(store):
            count += 1
            for name, value in row.items():
                columns.setdefault(name, set()).add(type(value))
            spool.write(json.dumps(row) + "\n")
        spool.seek(0)
        own = path.is_relative_to(store.path)
        with draft_of(store.inside.writable(path) if own else path) as draft:
            write(draft, columns, map(json.loads, spool))
        if own:
            store.inside.send(path)
    return count


def rows(store: RunFolder) -> Iterator[dict[str, Any]]:
    """A flat row for each job that is done or has failed, done ones first.

    Swept settings are `settings.NAME`, the last losses `loss.NAME`, labels that a data set gave
    `label.NAME`. `class` is the folder of the content; `split` the one above all, if it is named as
    splits are. Of a picture in a shard `image` is empty, and `shard` and `sample` say where it is.
    """
    failed = open_failures(store)  # though a picture of other inputs or settings may be there
    for record, shard in placed_records(store):
        if record.name not in failed:
            yield _row(record, shard)
    for failure in failed.values():
        yield _failed_row(failure)


def _row(record: Record, shard: Path | None) -> dict[str, Any]:
    packed = {"shard": f"shards/{shard.name}", "sample": sample_key(record.name)} if shard else {}
    last: Mapping[str, Any] = record.losses[-1] if record.losses else {}
    return {
        **places(record.name, record.content.file),
        "status": "done",
        "content": record.content.path,
        "style": record.style.name,
        "image": None if packed else record.output.path,
        **packed,
        "width": record.output.size[0],
        "height": record.output.size[1],
        "sha256": record.output.sha256,
        "key": record.key,
        "preset": record.settings.get("preset"),
        "preset_version": record.preset_version,
        "backbone": record.backbone.get("name"),
        "device": record.device,
        "precision": record.precision,
        "steps": record.steps,
        "attempts": record.attempts,
        "seconds": round(sum(record.seconds.values()), 4),
        "finished": record.finished,
        "warnings": " ".join(sorted({w.code or "other" for w in record.warnings})),
        **{f"label.{name}": _plain(value) for name, value in record.content.labels.items()},
        **{f"settings.{name}": _plain(value) for name, value in record.swept.items()},
        **{f"loss.{name}": value for name, value in last.items() if name != "step"},
    }


def _failed_row(failure: Failure) -> dict[str, Any]:
    return {
        **places(failure.name, failure.file),
        "status": "failed",
        "content": failure.content,
        "style": failure.style,
        "key": failure.key,
        "error": failure.error,
        "error_type": failure.type,
        **{f"settings.{name}": _plain(value) for name, value in failure.swept.items()},
    }


def places(name: str, file: str | None) -> dict[str, str]:
    """A job's name, and its split and class by its content's folders: `name`, `split`, `class`;
    empty where there is none.

    Args:
        file: of the content, as its record has it; where that has none, the job's name stands for
            it.
    """
    split, of_class = split_and_class_of(name if file is None else file)
    return {"name": name, "split": split, "class": of_class}


def _plain(value: object) -> object:
    return value if isinstance(value, (bool, int, float, str)) else json.dumps(value)


def _write_csv(path: Path, columns: Iterable[str], table: Iterable[dict[str, Any]]) -> None:
    # Bytes of file names that are no UTF-8 stay as they are.
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(table)


def has_pyarrow() -> bool:
    """Whether Parquet can be written."""
    try:
        _parquet_writer()
    except EngineError:
        return False
    return True


def _parquet_writer() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise EngineError(
            f"a .parquet table needs the package pyarrow; {install('parquet')}, or choose .csv"
        ) from error

    def write(
        path: Path, columns: Mapping[str, set[type]], table: Iterator[dict[str, Any]]
    ) -> None:
        types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
        kinds = {name: found - {type(None)} for name, found in columns.items()}
        kinds = {n: {float} if found == {int, float} else found for n, found in kinds.items()}
        fields = [
            (name, types.get(next(iter(found)), pa.string()) if len(found) == 1 else pa.string())
            for name, found in kinds.items()
        ]
        schema = pa.schema(fields)
        texts = {name for name, kind in fields if kind == pa.string()}
        with pq.ParquetWriter(path, schema) as writer:
            while part := list(itertools.islice(table, _ROWS_AT_ONCE)):
                part = [{n: _text(v) if n in texts else v for n, v in r.items()} for r in part]
                writer.write_table(pa.Table.from_pylist(part, schema))

    return write


def _text(value: object) -> str | None:
    """A value of a column of text; what UTF-8 does not have becomes a question mark."""
    return None if value is None else str(value).encode(errors="replace").decode()
