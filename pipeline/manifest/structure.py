"""The manifest as written against its models: every part of the right type.

In: a document. Out: a `ManifestFile` of all that is right; the rest is reported.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from pipeline.manifest.document import Document, Position
from pipeline.manifest.explain import explain, is_of_the_form_meant
from pipeline.manifest.schema import ManifestFile


def check_structure(document: Document) -> ManifestFile:
    """The manifest as written; what is wrong is reported and left out."""
    try:
        return ManifestFile.model_validate(document.data)
    except ValidationError as error:
        for problem in filter(is_of_the_form_meant, error.errors()):
            position = _document_position(problem["loc"], document)
            document.report(position, explain(problem, position))
    # What is right by itself is checked further, so that all problems are shown at once.
    valid = {
        key: value
        for key, value in document.data.items()
        if key in ManifestFile.model_fields and not _invalid(key, value)
    }
    for key in _LISTS:
        entries = document.data.get(key)
        if key not in valid and isinstance(entries, list):
            right = [i for i, entry in enumerate(entries) if not _invalid(key, [entry])]
            valid[key], document.kept[key] = [entries[i] for i in right], right
    return ManifestFile.model_validate({"output": {"path": "unnamed"}, **valid})


def _invalid(key: str, value: object) -> bool:
    try:
        ManifestFile.model_validate({"output": {"path": "unnamed"}, key: value})
    except ValidationError:
        return True
    return False


# Keys whose entries are right or wrong each by itself.
_LISTS = ("content", "style", "pairs", "exclude")
# What pydantic calls members of a union in locations, beside those with brackets.
_UNION_MEMBERS = ("str", "Blend", "Masks", "Sample", "literal")


def _document_position(location: Sequence[str | int], document: Document) -> Position:
    """Pydantic's location without the names of union members, which are not in the file."""
    position: Position = ()
    for part in location:
        written = (*position, part) in document.lines
        missing = isinstance(part, str) and part and "[" not in part and part not in _UNION_MEMBERS
        if written or missing:
            position = (*position, part)
    return position
