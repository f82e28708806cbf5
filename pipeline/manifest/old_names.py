"""Settings under names that they once had: taken as today's, with one warning for each.

In: a document, rows of a map. Out: the same with today's names, and how the manifest spells them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.manifest.document import Document, Position
from pipeline.manifest.settings import OLD_NAMES, both_names, with_new_names
from pipeline.notices import Notice

Spelled = dict[str, str]


def take_old_names(document: Document) -> Spelled:
    """Renames settings in a document's data, and the positions of their lines.

    Returns:
        today's name -> as written, of the swept settings and those of pairs: the names of their
        pictures are spelled so.
    """
    spelled = _rename(document, document.data, ("grid",))
    pairs = document.data.get("pairs")
    for index, entry in enumerate(pairs if isinstance(pairs, list) else ()):
        if isinstance(entry, dict):
            spelled |= _rename(document, entry, ("pairs", index, "settings"))
    # Last, for the warnings of the others say more; these name no picture.
    _rename(document, document.data, ("settings",))
    return spelled


def _rename(document: Document, holder: dict[str, Any], position: Position) -> Spelled:
    """Renames the settings that `holder` has under the position's last key, in their order."""
    key = str(position[-1])
    values = holder.get(key)
    if not isinstance(values, dict):
        return {}
    used = {OLD_NAMES[name]: name for name in values if name in OLD_NAMES}
    for new, old in used.items():
        where = document.at(document.line_of((*position, old)), "")
        warn_of_old_name(document, where, old, position != ("settings",))
        _move_lines(document, (*position, old), (*position, new))
    twice = both_names(values)
    if twice:
        document.report((*position, twice[0]), twice[1])
        # Without the old names, so that nothing more is said of them.
        values = {name: value for name, value in values.items() if name not in OLD_NAMES}
    holder[key] = with_new_names(values)
    return used


def _move_lines(document: Document, old: Position, new: Position) -> None:
    size = len(old)
    for place in [place for place in document.lines if place[:size] == old]:
        document.lines[new + place[size:]] = document.lines[place]


def renamed_row(document: Document, at: str, row: Mapping[str, Any], spelled: Spelled) -> Any:
    """A map's row with today's names; the first of each old one is warned of.

    Args:
        at: where the row stands.
        spelled: what the row spells otherwise is added.

    Raises:
        ValueError: a setting stands there under both of its names.
    """
    values = row.get("settings")
    if not isinstance(values, dict):
        return row
    for old in OLD_NAMES.keys() & values.keys():
        warn_of_old_name(document, f"{at}: ", old, True)
        spelled[OLD_NAMES[old]] = old
    return {**row, "settings": with_new_names(values)}


def old_name_warning(old: str) -> str:
    """What is said of an old name."""
    return f"{old} is spelled {OLD_NAMES[old]} now; the old spelling goes on working"


def warn_of_old_name(document: Document, where: str, old: str, names_pictures: bool) -> None:
    """Says so once a document.

    Args:
        names_pictures: the setting is part of the pictures' names, which a new spelling changes.
    """
    said = old_name_warning(old)
    if not any(said in warning.text for warning in document.warnings):
        more = ", and keeps the names of pictures made so" if names_pictures else ""
        document.warnings.append(Notice("old_name", f"{where}{said}{more}"))
