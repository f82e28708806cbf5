"""What has to go together in a manifest whose parts are each right: pairing, blends, first
pictures.

In: a manifest while it is read. Out: nothing; what is wrong is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ImageError, ManifestError
from pipeline.manifest.document import Position
from pipeline.manifest.model import Pair, Style
from pipeline.manifest.paths import path_in
from pipeline.manifest.reading import Reading
from pipeline.manifest.schema import Sample
from pipeline.manifest.settings import Settings
from pipeline.manifest.table import INITS
from pipeline.pictures import check_header


def check_pairing(reading: Reading, paired: tuple[int, int], pairs: Sequence[Pair]) -> None:
    """There is something to do, and as many styles as the pairing needs.

    Args:
        paired: how many contents and styles take part in `pairing`.
    """
    document, (contents, styles) = reading.document, paired
    if not contents and not styles and not pairs and not document.problems:
        document.report((), "nothing to do: content and style, or pairs, are needed")
    elif styles and not contents and pairs:
        pass  # blends that the pairs name
    elif bool(contents) != bool(styles) and not document.problems:
        there, missing = ("content", "style") if contents else ("style", "content")
        document.report((there,), f"there is {there} but no {missing}; add it")
    pairing = reading.file.pairing
    if pairing == "zip" and contents != styles and contents and styles:
        document.report(
            ("pairing",),
            f"zip needs as many styles as contents, but {contents} and {styles} are "
            f"there; use product or sample, or pairs",
        )
    if isinstance(pairing, Sample) and styles and pairing.sample > styles:
        document.report(
            ("pairing", "sample"),
            f"{pairing.sample} styles are to be drawn, but only {styles} "
            f"{'is' if styles == 1 else 'are'} there",
        )


def check_blends(reading: Reading, pairs: Sequence[Pair]) -> None:
    """Weights of `blend` go with every style's number of pictures."""
    for position, weights, styles in _blends(reading, pairs):
        for style in styles:
            try:
                style.weighted(weights)
            except ManifestError as error:
                reading.document.report(position, str(error).removeprefix("blend: "))
                break


def _blends(
    reading: Reading, pairs: Sequence[Pair]
) -> Iterator[tuple[Position, Any, Sequence[Style]]]:
    """Each place that gives weights, the weights, and the styles that they are for."""
    styles: Sequence[Style] = reading.styles.items
    given = reading.settings.get("blend")
    if given is not None:
        yield ("settings", "blend"), Settings.model_validate({"blend": given}).blend, styles
    for index, value in reading.swept("blend"):
        yield ("grid", "blend", index), value, styles
    lines = reading.document.lines
    for index, pair in enumerate(pairs):
        place: Position = ("pairs", index) if ("pairs", index) in lines else ("pairs",)
        yield place, pair.settings.get("blend"), [styles[pair.style]]


def check_init(reading: Reading) -> None:
    """Every `init` is one of the words, or a picture's file."""
    given = reading.settings.get("init", "content")
    places: list[tuple[Position, Any]] = [(("settings", "init"), given)]
    places += [(("grid", "init", i), v) for i, v in reading.swept("init")]
    for position, value in places:
        problem = init_problem(reading.base, value)
        if problem:
            reading.document.report(position, problem)


def init_problem(base: Path, value: Any) -> str:
    """What is wrong with an `init`, or empty."""
    if value in INITS:
        return ""
    try:
        check_header(path_in(base, str(value)))
    except ImageError as error:
        return f"neither {', '.join(INITS)} nor a picture: {error}"
    return ""
