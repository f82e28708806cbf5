"""A Parquet or Arrow table with a picture in each row, as Hugging Face's data sets are.

In: a table's file. Out: its pictures and the other columns of their rows, a group of rows at a
time. Needs the package pyarrow, an extra. Must not load torch.
"""

from __future__ import annotations

import bisect
import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import ImageError, MissingPackageError, install
from pipeline.pictures.set_member import Member

_PICTURES = ("image", "img", "picture", "jpg", "png")
_LABELS = ("label", "labels", "cls", "class", "class_name")
_MOST_GROUP = 128 * 2**20  # bytes of a group of rows that is kept; a larger one is streamed
_STREAMED_ROWS = 16
_OPEN_BYTES = 2**20  # of an open table without its rows, about


def pyarrow() -> Any:
    """The package.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError(
            f"Parquet and Arrow data sets need pyarrow, which is not installed: "
            f"{install('parquet')}"
        ) from error
    return pa


class RowSet:
    """A table of pictures.

    Raises:
        ImageError: no such table, or none of its columns holds pictures.
        MissingPackageError: pyarrow is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.problem, self.passed = path, "", 0
        self._pa = pyarrow()
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, Any]] = {}
        try:
            self._table = _Arrow(path) if path.suffix.lower() == ".arrow" else _Parquet(path)
        except (self._pa.ArrowException, OSError, ValueError) as error:
            raise ImageError(f"{path}: no table that can be read ({error}); replace it") from error
        self.column = self._picture_column()
        names = [name for name in self._table.schema.names if name != self.column]
        self._label = next((name for name in _LABELS if name in names), "")
        self._others = [name for name in names if not self._is_binary(name)]

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes."""
        return _OPEN_BYTES + sum(int(part.nbytes) for _, part in self._kept.values())

    def _type(self, name: str) -> Any:
        return self._table.schema.field(name).type

    def _is_binary(self, name: str) -> bool:
        kind = self._type(name)
        fields = [f.type for f in kind] if self._pa.types.is_struct(kind) else [kind]
        bytes_ = (self._pa.binary(), self._pa.large_binary())
        return bool(any(field in bytes_ for field in fields))

    def _picture_column(self) -> str:
        """The column with pictures: by its name, else the only one with bytes."""
        holding = [name for name in self._table.schema.names if self._is_binary(name)]
        named = [name for name in _PICTURES if name in holding]
        chosen = named[:1] or (holding if len(holding) == 1 else [])
        if not chosen:
            raise ImageError(
                f"{self.path}: no column `image` with pictures' bytes; its columns are "
                f"{', '.join(self._table.schema.names)}; rename the one that holds them"
            )
        return chosen[0]

    @cached_property
    def _class_names(self) -> list[str]:
        """The classes by number, as Hugging Face's header of the table has them."""
        try:
            header = json.loads((self._table.schema.metadata or {}).get(b"huggingface", b"{}"))
            return [str(n) for n in header["info"]["features"][self._label]["names"]]
        except (ValueError, KeyError, TypeError):
            return []

    def members(self) -> Iterator[Member]:
        """Its rows with a picture, in order, from their small columns alone.

        Raises:
            ImageError: damaged.
        """
        wanted = [f"{self.column}.path"] if self._has_path else []
        wanted += [self._label] if self._label else []
        row, stem = 0, self.path.stem
        try:
            for part in self._table.parts(wanted):
                for values in part:
                    named = PurePosixPath(str((values.get(self.column) or {}).get("path") or ""))
                    file = named.name or f"{stem}-{row:06}"
                    label = values.get(self._label)
                    number = label if isinstance(label, int) else None
                    yield Member(str(row), file, self._class_of(label), number)
                    row += 1
        except (self._pa.ArrowException, OSError) as error:
            raise ImageError(f"{self.path}: damaged table ({error}); replace it") from error

    @property
    def _has_path(self) -> bool:
        kind = self._type(self.column)
        return bool(self._pa.types.is_struct(kind)) and kind.get_field_index("path") >= 0

    def _class_of(self, label: Any) -> str:
        names = self._class_names
        if isinstance(label, int) and 0 <= label < len(names):
            return names[label]
        return str(label) if isinstance(label, (int, str)) else ""

    def read(self, name: str) -> bytes:
        """The bytes of a row's picture.

        Raises:
            ImageError: no such row, nothing in it, or the table is damaged.
        """
        value = self._row(name, [self.column])[self.column]
        data = value.get("bytes") if isinstance(value, Mapping) else value
        if not data:
            raise ImageError(
                f"{self.path}/{name}: the row holds no bytes of a picture; a table that only names "
                f"files has to be read as those files"
            )
        return bytes(data)

    def labels(self, name: str) -> dict[str, Any]:
        """The other columns of a row, but those of bytes; a class by its number has `class` too."""
        found = dict(self._row(name, self._others)) if self._others else {}
        if self._label and self._class_names:
            found.setdefault("class", self._class_of(found.get(self._label)))
        return found

    def others(self, name: str) -> dict[str, bytes]:
        """The same as WebDataset's files: `cls` and `source.json`."""
        labels = self.labels(name)
        files = {"source.json": json.dumps(labels, default=str).encode()} if labels else {}
        if isinstance(labels.get(self._label), (int, str)):
            files["cls"] = str(labels[self._label]).encode()
        return files

    def _row(self, name: str, columns: list[str]) -> dict[str, Any]:
        number = int(name) if name.isdecimal() else -1
        if not 0 <= number < self._table.rows:
            raise ImageError(f"{self.path}/{name}: no such row in the table any more")
        group, within = self._table.place(number)
        try:
            with self._lock:
                part = self._group(group, columns, within)
                return {c: part.column(c)[within % part.num_rows].as_py() for c in columns}
        except (self._pa.ArrowException, OSError) as error:
            raise ImageError(f"{self.path}/{name}: damaged ({error}); replace it") from error

    def _group(self, group: int, columns: list[str], within: int) -> Any:
        """A group of rows, kept for the rows beside; of a large one the rows about the one."""
        key = ",".join(columns)
        if key in self._kept and self._kept[key][0] == group:
            return self._kept[key][1]
        if self._table.size(group) > _MOST_GROUP:
            return self._table.some(group, columns, within)
        part = self._table.group(group, columns)
        self._kept[key] = (group, part)
        return part


class _Parquet:
    """The groups of rows of a Parquet file."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, memory_map=True)
        about = self._file.metadata
        self.schema, self.rows = self._file.schema_arrow, about.num_rows
        counts = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
        self._ends = list(itertools.accumulate(counts))
        self._sizes = [about.row_group(i).total_byte_size for i in range(len(counts))]

    def place(self, row: int) -> tuple[int, int]:
        """The group that a row is in, and its number there."""
        group = bisect.bisect_right(self._ends, row)
        return group, row - (self._ends[group - 1] if group else 0)

    def size(self, group: int) -> int:
        """Its bytes in memory."""
        return int(self._sizes[group])

    def group(self, group: int, columns: list[str]) -> Any:
        """Some columns of one group."""
        return self._file.read_row_group(group, columns, use_threads=False)

    def some(self, group: int, columns: list[str], within: int) -> Any:
        """Of a large group one row, without holding all of it."""
        batches = self._file.iter_batches(
            _STREAMED_ROWS, row_groups=[group], columns=columns, use_threads=False
        )
        passed = 0
        for batch in batches:
            if within < passed + batch.num_rows:
                return batch.slice(within - passed, 1)
            passed += batch.num_rows
        raise OSError("the group of rows ends early")

    def parts(self, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
        """All rows, some thousand at a time."""
        if not columns:
            for begin, end in zip([0, *self._ends], self._ends, strict=False):
                yield [{}] * (end - begin)
            return
        for batch in self._file.iter_batches(4096, columns=columns, use_threads=False):
            yield batch.to_pylist()


class _Arrow:
    """The record batches of an Arrow file or stream, mapped into memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        source = pa.memory_map(str(path))
        try:
            table = pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            table = pa.ipc.open_file(source).read_all()
        self._table, self.schema, self.rows = table, table.schema, table.num_rows

    def place(self, row: int) -> tuple[int, int]:
        """Any row is at hand."""
        return row, 0

    def size(self, group: int) -> int:
        """Nothing, since it is mapped."""
        return 0

    def group(self, group: int, columns: list[str]) -> Any:
        """Some columns of one row."""
        return _checked(self._table.select(columns).slice(group, 1))

    def some(self, group: int, columns: list[str], within: int) -> Any:
        """The same."""
        return self.group(group, columns)

    def parts(self, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
        """All rows, some thousand at a time."""
        if not columns:
            yield [{}] * self.rows
            return
        column = columns[0].partition(".")[0]
        taken = _checked(self._table.select([column, *columns[1:]]))
        if "." in columns[0]:  # the picture's path alone, not its bytes
            import pyarrow.compute as pc

            paths = pc.struct_field(taken.column(column), "path")
            for batch in taken.drop_columns([column]).append_column("p", paths).to_batches(4096):
                yield [{**row, column: {"path": row.pop("p")}} for row in batch.to_pylist()]
            return
        for batch in taken.to_batches(4096):
            yield batch.to_pylist()


def _checked(table: Any) -> Any:
    """A table whose offsets lie within its buffers: Arrow itself believes what a file says."""
    table.validate(full=True)
    return table
