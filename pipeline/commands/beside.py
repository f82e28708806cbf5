"""What goes into a run folder beside pictures and records, and whether its disk can hold them.

In: a plan and a run folder. Out: the map of a draw; the dataset's other files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.address import Address
from pipeline.errors import ManifestError, RunFolderError
from pipeline.files import real, tells_case
from pipeline.manifest import Manifest, Sample, Style, write_map
from pipeline.pictures import is_image_name, place_in_set
from pipeline.plan import Plan, own_path
from pipeline.store import RunFolder, mirror_others


def check_case(plan: Plan, store: RunFolder) -> None:
    """Whether all names stay apart where the run folder lies.

    Raises:
        RunFolderError: two differ in capitals alone, and the disk does not tell these apart.
    """
    for labels in (plan.content_labels, plan.style_labels):
        twins = _alike_but_for_case(labels)
        if twins and not isinstance(store.path, Address) and not tells_case(store.state):
            raise RunFolderError(
                f"{store.path}: its disk does not tell {twins[0]} from {twins[1]}; rename one of "
                f"the two, or choose an `output` on another disk"
            )


def _alike_but_for_case(labels: Sequence[str]) -> tuple[str, str] | None:
    if len({label.casefold() for label in labels}) == len(labels):
        return None
    seen: dict[str, str] = {}
    return next(
        (first, label) for label in labels if (first := seen.setdefault(label.casefold(), label))
        is not label
    )  # fmt: skip


def write_beside(manifest: Manifest, plan: Plan, store: RunFolder) -> None:
    """The map of a draw, and the dataset's other files; of a run in parts the first one's work."""
    if store.part and not store.part.startswith("1-of-"):
        return
    if isinstance(manifest.pairing, Sample):
        drawn = store.path / "pairs.csv"
        write_map(store.inside.writable(drawn), _drawn(plan), store.temporary)
        store.inside.send(drawn)
    if manifest.form.others != "none":
        _mirror(manifest, plan, store)


def _drawn(plan: Plan) -> Iterator[tuple[Path, Any, str, Path | None, Path | None]]:
    """The pairs of a draw as a map has them; their pictures' names come out the same from there."""
    for content, style in plan.pairing.drawn():
        label = (content.file or content.label) if plan.manifest.naming > 1 else content.label
        yield content.path, _as_written(style), label, content.mask, content.keep


def _mirror(manifest: Manifest, plan: Plan, store: RunFolder) -> None:
    how = manifest.form.others
    if not manifest.folders:
        raise ManifestError([f"{manifest.path}:1: output.others: {how}: `content` names no folder"])
    # Names by a template may lack the `__` that no copied file's name has.
    if any(isinstance(folder, Address) for folder in (*manifest.folders, store.path)):
        raise ManifestError(
            [
                f"{manifest.path}:1: output.others: {how}: only from local folders to local "
                f"ones; leave `others` out"
            ]
        )
    records = plan.names() if manifest.form.name is not None else ()
    mirror_others(
        manifest.folders,
        store,
        how,
        placed=own_path if manifest.naming > 1 else str,
        records={f"{name}.json" for name in records},
        inputs=_inputs(manifest),
    )


def _inputs(manifest: Manifest) -> set[Path]:
    """Files that pictures are made of, and whose names do not say that they are pictures: data
    sets, clips, masks of any suffix."""
    set_of = lru_cache(maxsize=1_000)(place_in_set)  # many are of one
    found: set[Path] = set()
    for content in manifest.contents:
        place = set_of(content.path.parent / "picture")
        paths = [content.path if place is None else place[0]]
        paths += [p for frame in (content, *content.frames) for p in (frame.mask, frame.keep) if p]
        found.update(path for path in paths if not is_image_name(path))
    for style in manifest.styles:
        paths = [path for path, _ in style.parts] + [path for path in style.masks if path]
        found.update(path for path in paths if not is_image_name(path))
    return set(map(real, found))


def _as_written(style: Style) -> Any:
    """A style as a map of pairs has it: a path, or a blend."""
    paths: list[Path] = [path for path, _ in style.parts]
    if style.regions:
        named = dict(zip(style.regions, map(str, paths), strict=True))
        return {"name": style.label, "regions": named}
    if len(paths) == 1:
        return str(paths[0])
    return {"name": style.label, "blend": {str(path): weight for path, weight in style.parts}}
