"""The JSON of a run folder: how it is written, and how it is read as values of a type.

In: values, or the bytes of a file. Out: the other. Knows no paths. Must not load torch.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.json_text import read_json


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def to_json(data: object) -> bytes:
    """JSON as it is written to files: indented, UTF-8, with a newline at the end."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # paths need not be UTF-8; JSON escapes them so


def renamed(values: object, names: Mapping[str, str]) -> object:
    """A mapping with some of its keys under other names; anything else as it is."""
    if not isinstance(values, Mapping):
        return values
    return {names.get(key, key): value for key, value in values.items()}


class Read(BaseModel):
    """Keys that a newer version may have are kept; they are nobody's business here."""

    # Built when it is first used: most commands read few of the forms.
    model_config = ConfigDict(extra="allow", populate_by_name=True, defer_build=True)

    def plain(self) -> dict[str, Any]:
        """As it stands in the file, with today's names."""
        version = getattr(self, "schema_version", None)
        first = {} if version is None else {"schema": version}
        return first | self.model_dump(mode="json", by_alias=True, exclude_unset=True)


Form = TypeVar("Form", bound=BaseModel)


def parse(form: type[Form], data: bytes) -> Form:
    """JSON of a file as a value of its type.

    Not by pydantic's own reader of JSON: paths that are not UTF-8 stand there as lone surrogates.

    Raises:
        ValueError: not JSON, or not of this form; `why_not` says why.
    """
    return form.model_validate(read_json(data))


def why_not(error: ValueError) -> str:
    """Why something read is not of its form, in one line: where, and what."""
    if not isinstance(error, ValidationError):
        return f"not JSON ({error})"
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
