"""Layers' names."""

import pytest

from pipeline.layers import LAYERS, block_of, layer_named, shrink_of


@pytest.mark.parametrize(
    "written",
    [
        "conv4_2", "conv_4_2", "conv42", "relu4_2", "relu_4_2", "r42", "R4_2", "block4_conv2",
        " relu42 ",
    ],
)  # fmt: skip
def test_layers_are_known_by_the_names_that_others_give_them(written: str) -> None:
    assert layer_named(written) == "conv4_2"


@pytest.mark.parametrize(
    "written", ["conv4_5", "conv6_1", "fc6", "pool4", "", "4_2", "block4_pool"]
)
def test_what_is_no_layer_is_none(written: str) -> None:
    assert layer_named(written) is None


def test_blocks_halve_the_side() -> None:
    assert [(block_of(name), shrink_of(name)) for name in (LAYERS[0], LAYERS[-1])] == [
        (1, 1),
        (5, 16),
    ]
