"""From a picture back: what its own text, or the record beside it, says of how it was made.

In: a picture or a record, perhaps from someone else. Out: typed values, and the run that it lies
in. Must not load torch.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ImageError
from pipeline.files import read_bytes
from pipeline.json_text import read_json
from pipeline.pictures import file_sha256, read_text
from pipeline.remote import local_copy
from pipeline.store.forms import parse, why_not
from pipeline.store.made import Made, from_text
from pipeline.store.records import Record
from pipeline.store.run_folder import RunFolder

_MOST_BYTES = 64 * 2**20  # of a record


def read_made(path: Path) -> Made:
    """How a picture was made, by its record, or by its own text where it left that behind.

    Args:
        path: a picture, or a record.

    Raises:
        ImageError: nothing of ours, or it cannot be read.
    """
    if path.is_dir():
        raise ImageError(f"{path}: is a folder; name one picture or record in it")
    if path.suffix.lower() == ".json":
        found = _record(path)
        if isinstance(found, str):
            raise ImageError(f"{path}: no record of a picture ({found})")
        return found
    text = read_text(path)
    made = None if text is None else _from_text(path, text)
    record = _record(path.with_suffix(".json"))
    if isinstance(record, Record) and _is_of(record, path, made):
        return record
    if made is None:
        raise ImageError(
            f"{path}: does not say how it was made: no text of nst in it, and no record "
            f"{path.with_suffix('.json').name} of it beside it"
        )
    return made


def is_record(path: Path) -> bool:
    """Whether a file is a record."""
    return isinstance(_record(path), Record)


def _from_text(path: Path, text: str) -> Made:
    try:
        return from_text(Made.model_validate(read_json(text)))
    except ValueError as error:
        raise ImageError(f"{path}: its text `nst` is none of ours ({why_not(error)})") from error


def _record(path: Path) -> Record | str:
    """A record; or why it is none."""
    try:
        return parse(Record, read_bytes(local_copy(path), _MOST_BYTES))
    except OSError as error:
        return str(error.strerror)
    except ValueError as error:
        return why_not(error)


def _is_of(record: Record, path: Path, made: Made | None) -> bool:
    """Whether a record is that of a picture: of the same job, or of the same bytes."""
    if made is not None:
        return record.key == made.key
    return file_sha256(path) == record.output.sha256


def run_of(path: Path) -> RunFolder | None:
    """The run folder that a picture or a record lies in, if any."""
    place = path.absolute()
    for folder in place.parents:
        if folder.name == "images":
            run = RunFolder(folder.parent)
            if run.inside.is_file(folder.parent / "plan.json"):
                return run
    return None
