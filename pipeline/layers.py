"""The layer names of VGG-shaped networks, as in the paper; in the order of the network."""

from __future__ import annotations

import re
from collections.abc import Iterable

BLOCKS = (2, 2, 4, 4, 4)
LAYERS = tuple(f"conv{b}_{i}" for b, n in enumerate(BLOCKS, 1) for i in range(1, n + 1))
# The layers of each network that there is; `lite` has those that its file has.
LAYERS_OF = {
    "vgg19": LAYERS,
    "vgg16": tuple(layer for layer in LAYERS if layer not in ("conv3_4", "conv4_4", "conv5_4")),
    "lite": LAYERS,
}
BACKBONES = tuple(LAYERS_OF)
# In the place of one: whichever fits the device and the weights that are there.
AUTO = "auto"
# The layers by which the nearest-neighbor term compares positions.
NEIGHBOR_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1")
# The px of a picture's side that one of these positions spans: all layers are pooled to that.
SHRINK = 4

# As others write conv4_2: relu4_2, r42, block4_conv2, conv_4_2, Conv42, relu_4_2.
_SPELLED = re.compile(r"^(?:(?:conv|relu|r)_?(\d)_?(\d)|block(\d)_?(?:conv|relu)_?(\d))$")


def layer_named(text: str) -> str | None:
    """The layer that a name of any usual spelling means, or None.

    Features are those after the ReLU, so `relu4_2` and `conv4_2` are one.

    >>> [layer_named(name) for name in ("relu4_2", "r42", "block4_conv2", "conv_4_2", "fc6")]
    ['conv4_2', 'conv4_2', 'conv4_2', 'conv4_2', None]
    """
    found = _SPELLED.match(text.strip().lower())
    layer = found and "conv{}_{}".format(*(digit for digit in found.groups() if digit))
    return layer if layer in LAYERS else None


def block_of(layer: str) -> int:
    """The number of a layer's block, from 1.

    >>> block_of("conv4_2")
    4
    """
    return int(layer.removeprefix("conv").partition("_")[0])


def shrink_of(layer: str) -> int:
    """How many px of a picture's side one position of a layer spans: pooling halves between blocks.

    >>> shrink_of("conv4_2")
    8
    """
    return 1 << (block_of(layer) - 1)


def no_layers(network: str, missing: Iterable[str], there: Iterable[str]) -> str:
    """What is said of layers that a network does not have: for each the nearest that it has.

    >>> no_layers("mine", ["conv3_1"], ["conv1_1", "conv2_2"])
    'mine has no conv3_1 (nearest: conv2_2); its layers are conv1_1, conv2_2'
    """
    known = list(there)

    def nearest(layer: str) -> str:
        place = LAYERS.index(layer)
        return min(known, key=lambda other: abs(LAYERS.index(other) - place))

    named = ", ".join(f"{layer} (nearest: {nearest(layer)})" for layer in missing)
    return f"{network} has no {named}; its layers are {', '.join(known)}"
