"""What a shard is made of: a picture, its record and its labels, as a tar's files or a table's row.

In: samples. Out: a shard's file; records of one, read back. Tables need the package pyarrow, an
extra. Must not load torch.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from pipeline.pictures import pyarrow
from pipeline.store.forms import parse
from pipeline.store.records import Record

MOST_BYTES = 2**30  # of a picture or a record
_ROWS_IN_A_GROUP = 100  # whose pictures are read together


@dataclass(frozen=True)
class Sample:
    """One finished job.

    Attributes:
        key: in a tar.
        suffix: the picture's, without a dot.
        record: its JSON.
        folder: the class by the content's folder, or empty.
        others: what the content has beside itself in its data set, by extension.
    """

    name: str
    key: str
    suffix: str
    picture: bytes
    record: bytes
    split: str = ""
    folder: str = ""
    others: Mapping[str, bytes] = field(default_factory=dict)

    def label(self, classes: Sequence[str | None]) -> bytes | None:
        """Its class: what its data set says, else its folder's number."""
        if "cls" in self.others:
            return self.others["cls"]
        return str(classes.index(self.folder)).encode() if self.folder in classes else None


def _write_tar(file: BinaryIO, samples: Iterable[Sample], classes: Sequence[str | None]) -> None:
    """Picture, record and labels of each under one key."""
    with tarfile.open(fileobj=file, mode="w") as tar:
        for sample in samples:
            files = {sample.suffix: sample.picture, "json": sample.record}
            label = sample.label(classes)
            if label is not None:
                files["cls"] = label
            for extension, data in sample.others.items():
                if extension != "cls":
                    taken = extension in files
                    files[f"source.{extension}" if taken else extension] = data
            for extension, data in files.items():
                info = tarfile.TarInfo(f"{sample.key}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def _write_rows(file: BinaryIO, samples: Iterable[Sample], classes: Sequence[str | None]) -> None:
    """A row each, with columns that are the same in every shard, as Hugging Face reads them."""
    pa = pyarrow()
    import pyarrow.parquet as pq

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    texts = ("class", "split", "style", "name", "key", "labels", "record")
    fields = [("image", image), ("label", pa.int64()), *((name, pa.string()) for name in texts)]
    schema = pa.schema(fields, metadata=_features(classes))
    rows = (_row(sample, classes) for sample in samples)
    with pq.ParquetWriter(file, schema) as writer:
        while group := list(itertools.islice(rows, _ROWS_IN_A_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _row(sample: Sample, classes: Sequence[str | None]) -> dict[str, object]:
    record = parse(Record, sample.record)
    label = (sample.label(classes) or b"").decode(errors="replace").strip()
    number = int(label) if re.fullmatch(r"-?\d{1,18}", label) else None
    name = record.content.labels.get("class") or sample.folder
    row = {
        "image": {"bytes": sample.picture, "path": f"{sample.key}.{sample.suffix}"},
        "label": number,
        "class": str(name or (label if number is None else "")),
        "split": sample.split,
        "style": record.style.name,
        "name": record.name,
        "key": record.key,
        "labels": json.dumps(record.content.labels),
        "record": sample.record.decode(),
    }
    # Bytes of file names that are no UTF-8 become question marks, which tables take.
    return {
        name: value.encode(errors="replace").decode() if isinstance(value, str) else value
        for name, value in row.items()
    }


def _features(classes: Sequence[str | None]) -> dict[str, str]:
    """What Hugging Face's reader wants to know of the columns."""
    whole = {"dtype": "int64", "_type": "Value"}
    label = {"names": _unlike(classes), "_type": "ClassLabel"} if classes else whole
    features: dict[str, object] = {"image": {"_type": "Image"}, "label": label}
    for name in ("class", "split", "style", "name", "key", "labels", "record"):
        features[name] = {"dtype": "string", "_type": "Value"}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _unlike(classes: Sequence[str | None]) -> list[str]:
    """The classes' names, each once, as that reader wants them; a number of none is itself."""
    names: dict[str, None] = {}
    for number, name in enumerate(classes):
        plain = str(number) if name is None else name
        names[plain if plain not in names else f"{plain} ({number})"] = None
    return list(names)


# A record, as JSON, and its picture.
Packed = tuple[bytes, bytes]

# The suffix of a shard by the manifest's `format`, and how one is written.
WRITERS: dict[
    str, tuple[str, Callable[[BinaryIO, Iterable[Sample], Sequence[str | None]], None]]
] = {
    "webdataset": (".tar", _write_tar),
    "parquet": (".parquet", _write_rows),
}


def records_of_tar(file: BinaryIO) -> Iterator[bytes]:
    """The records in a tar shard, as JSON.

    Raises:
        tarfile.TarError, OSError, ValueError: it is damaged.
    """
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            # Labels that came along are `.source.json`.
            own = member.name.endswith(".json") and not member.name.endswith(".source.json")
            wanted = own and member.isreg() and member.size < MOST_BYTES
            opened = tar.extractfile(member) if wanted else None
            if opened is not None:
                yield opened.read()


def samples_of_tar(file: BinaryIO, places: Sequence[tuple[str, int]]) -> Iterator[Packed]:
    """Records, as JSON, and pictures of a tar shard.

    Args:
        places: of each the key in the shard, and its row.

    Raises:
        tarfile.TarError, OSError, ValueError: it is damaged.
    """
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for key, _ in places:
            record = _member(tar, f"{key}.json")
            suffix = parse(Record, record).output.path.rpartition(".")[2]
            yield record, _member(tar, f"{key}.{suffix}")


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        member = tar.getmember(name)
    except KeyError as error:
        raise ValueError(f"no {name} in it") from error
    opened = tar.extractfile(member) if member.isreg() and member.size < MOST_BYTES else None
    if opened is None:
        raise ValueError(f"no file {name} in it")
    return opened.read()


def samples_of_rows(file: BinaryIO, places: Sequence[tuple[str, int]]) -> Iterator[Packed]:
    """As `samples_of_tar`, of a Parquet shard.

    Raises:
        OSError, ValueError: it is damaged.
    """
    pyarrow()
    import pyarrow.parquet as pq

    table, begin = pq.ParquetFile(file), 0
    if not {"image", "record"} <= set(table.schema_arrow.names):
        raise ValueError("no columns `image` and `record`")
    rows = sorted(row for _, row in places)
    for number in range(table.num_row_groups):
        end = begin + table.metadata.row_group(number).num_rows
        wanted = [row - begin for row in rows if begin <= row < end]
        if wanted:
            group = table.read_row_group(number, ["image", "record"], use_threads=False)
            for one in group.take(wanted).to_pylist():
                yield str(one["record"]).encode(), _picture(one["image"])
        begin = end


def _picture(cell: object) -> bytes:
    data = cell.get("bytes") if isinstance(cell, dict) else None
    if not isinstance(data, bytes):
        raise ValueError("a row without a picture")
    return data


def records_of_rows(file: BinaryIO) -> Iterator[bytes]:
    """The records in a Parquet shard, as JSON.

    Raises:
        OSError, ValueError: it is damaged.
    """
    pyarrow()
    import pyarrow.parquet as pq

    table = pq.ParquetFile(file)
    if "record" not in table.schema_arrow.names:
        raise ValueError("no column `record`")
    for batch in table.iter_batches(1000, columns=["record"], use_threads=False):
        yield from (str(text).encode() for text in batch.column("record").to_pylist())
