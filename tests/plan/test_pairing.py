"""Which contents go with which styles."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.manifest import Manifest, Output, Picture, Sample, Settings, Style
from pipeline.manifest.model import Pair
from pipeline.plan.pairing import Pairing


def manifest(pairing: Any, pairs: tuple[Pair, ...] = (), **more: Any) -> Manifest:
    """3 contents and 3 styles, of which the first 2 take part in the pairing."""
    return Manifest(
        path=Path("m.yaml"),
        text="",
        output=Path("run"),
        contents=tuple(Picture(Path(f"c{i}.png"), f"c{i}") for i in range(3)),
        styles=tuple(Style(f"s{i}", ((Path(f"s{i}.png"), 1.0),)) for i in range(3)),
        pairing=pairing,
        pairs=pairs,
        paired=(2, 2),
        backbone="lite",
        weights=None,
        settings={},
        axes={},
        folders=(),
        form=Output(path="run"),
        **more,
    )


def indices(pairing: Pairing) -> list[tuple[int, int]]:
    return [(pair.content, pair.style) for pair in pairing]


def test_a_product_is_every_content_with_every_style() -> None:
    pairing = Pairing(manifest("product"))
    assert indices(pairing) == [(0, 0), (0, 1), (1, 0), (1, 1)] and len(pairing) == 4


def test_a_zip_goes_side_by_side() -> None:
    pairing = Pairing(manifest("zip"))
    assert indices(pairing) == [(0, 0), (1, 1)] and len(pairing) == 2


@pytest.mark.parametrize(
    ("pairing", "made", "new"),
    [("product", (0, 1), (2, 1)), ("zip", (1, 1), (0, 1)), ("zip", (0, 0), (2, 2))],
)
def test_explicit_pairs_that_the_pairing_makes_are_not_made_twice(
    pairing: Any, made: tuple[int, int], new: tuple[int, int]
) -> None:
    given = Pairing(manifest(pairing, (Pair(*made, {}), Pair(*new, {}), Pair(*new, {}))))
    assert len(given) == len(indices(given)) == len(set(indices(given)))
    assert indices(given)[-1] == new and made in indices(given)[:-1]


def test_a_draw_knows_which_pairs_it_makes() -> None:
    drawn = indices(Pairing(manifest(Sample(sample=1, seed=0))))
    assert [content for content, _ in drawn] == [0, 1]
    other = (0, 1 - drawn[0][1])
    given = Pairing(manifest(Sample(sample=1, seed=0), (Pair(*drawn[0], {}), Pair(*other, {}))))
    assert indices(given) == [*drawn, other]
    assert [style.label for _, style in given.drawn()] == [f"s{style}" for _, style in drawn]


def test_pairs_with_settings_of_their_own_are_pairs_of_their_own() -> None:
    pairs = (Pair(0, 0, {"seed": 1}), Pair(0, 0, {"seed": 2}), Pair(0, 0, {"seed": 1}))
    given = Pairing(manifest("product", pairs))
    assert indices(given)[4:] == [(0, 0), (0, 0)] and [pair.own for pair in given][4:] == [1, 2]
    assert [label for _, label in given.own_settings] == ["", "seed-1", "seed-2"]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([{}, {"backbone": "lite"}], [{}]),
        ([{"backbone": "lite"}, {}], [{}]),
        ([{"backbone": "lite"}, {"backbone": {"name": "lite"}}], [{"backbone": "lite"}]),
        ([{}, {"backbone": "vgg19"}], [{}, {"backbone": "vgg19"}]),
        (
            [{}, {"steps": 7}, {"steps": 8, "backbone": "lite"}],
            [{}, {"steps": 8, "backbone": "lite"}],
        ),
        ([{"seed": 1}, {"seed": 1, "backbone": "lite"}], [{"seed": 1}]),
    ],
)
def test_pairs_that_come_to_the_same_settings_are_one(
    rows: list[dict[str, Any]], kept: list[dict[str, Any]]
) -> None:
    found = replace(
        manifest("product", tuple(Pair(2, 2, own) for own in rows)),
        settings={"steps": 7, "preset": "classic"},
    )
    given = Pairing(found)
    assert [given.own_settings[pair.own][0] for pair in list(given)[4:]] == kept
    of_product = replace(found, pairs=tuple(Pair(0, 0, own) for own in rows))
    others = [own for own in kept if own not in ({}, {"backbone": "lite"})]
    given = Pairing(of_product)
    assert [given.own_settings[pair.own][0] for pair in list(given)[4:]] == others
    assert len(given) == 4 + len(others)


def test_what_a_swept_preset_decides_is_not_taken_for_the_same() -> None:
    """These steps are what every job has by the preset `default`, not by those of the grid."""
    steps = {"steps": Settings().steps}
    pairs = (Pair(2, 2, {}), Pair(2, 2, steps), Pair(2, 2, {"backbone": "lite"}))
    assert len(Pairing(manifest("product", pairs))) == 4 + 1
    found = replace(manifest("product", pairs), axes={"preset": ("classic", "fast")})
    given = Pairing(found)
    assert [given.own_settings[pair.own][0] for pair in list(given)[4:]] == [{}, steps]


def test_labels_are_spelled_as_the_manifest_spells_settings() -> None:
    pairs = (Pair(0, 2, {"optimizer": "lbfgs"}),)
    given = Pairing(manifest("product", pairs, spelled={"optimizer": "optimiser"}))
    assert given.own_settings[1] == ({"optimizer": "lbfgs"}, "optimiser-lbfgs")
