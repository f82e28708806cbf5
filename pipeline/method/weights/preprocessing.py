"""What a network's first convolution wants to see.

In: a first layer's kernels, what is known of the file. Out: a 1x1 convolution from RGB in [0, 1].

Caffe's networks want BGR in 0..255 less a mean color, torchvision's RGB normalized by ImageNet's
mean and deviation. Files do not say it, and Caffe's weights go round under torchvision's names; fed
with the other's input their pictures are wrong without a word. So Caffe's VGG-19 is told by its own
first layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.errors import WeightsError

Array = np.ndarray[Any, np.dtype[np.float32]]
Pair = tuple[Array, Array]

PREPROCESSINGS = ("caffe", "imagenet")
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)

# Norms of the 64 filters of conv1_1 in Caffe's VGG-19 (Simonyan and Zisserman 2014), a thousandth
# each, over blue, green and red: a measurement that no other training would repeat.
_CAFFE_NORMS = np.array(
    [
        753,
        977,
        869,
        354,
        142,
        282,
        231,
        383,
        268,
        726,
        950,
        870,
        472,
        600,
        559,
        642,
        547,
        176,
        299,
        399,
        377,
        450,
        587,
        553,
        292,
        633,
        343,
        437,
        345,
        338,
        874,
        1069,
        988,
        350,
        513,
        437,
        459,
        1019,
        547,
        326,
        315,
        387,
        677,
        849,
        777,
        331,
        695,
        360,
        226,
        280,
        536,
        316,
        410,
        327,
        428,
        642,
        234,
        138,
        314,
        584,
        598,
        624,
        566,
        500,
        664,
        589,
        443,
        120,
        558,
        650,
        799,
        652,
        170,
        287,
        267,
        488,
        333,
        469,
        685,
        913,
        840,
        546,
        345,
        252,
        661,
        838,
        771,
        546,
        221,
        497,
        415,
        524,
        475,
        386,
        355,
        394,
        272,
        319,
        149,
        375,
        484,
        438,
        670,
        808,
        751,
        549,
        735,
        675,
        121,
        102,
        511,
        741,
        894,
        802,
        337,
        485,
        446,
        301,
        510,
        275,
        276,
        412,
        291,
        719,
        880,
        780,
        424,
        565,
        507,
        561,
        713,
        655,
        331,
        430,
        377,
        675,
        871,
        779,
        398,
        494,
        477,
        715,
        929,
        853,
        475,
        688,
        654,
        623,
        699,
        695,
        22,
        251,
        512,
        837,
        1092,
        994,
        219,
        517,
        370,
        523,
        698,
        651,
        526,
        634,
        538,
        236,
        380,
        362,
        397,
        526,
        437,
        561,
        691,
        572,
        647,
        808,
        721,
        591,
        504,
        365,
        636,
        802,
        718,
        348,
        240,
        322,
        608,
        753,
        695,
        682,
        821,
        749,
    ],
    np.float32,
).reshape(64, 3)
_ALIKE = 0.98  # correlation; between unrelated first layers it is below 0.5


def input_transform(first: Array, numbered: bool, given: str | None, source: str) -> Pair:
    """The 1x1 kernel 3 x 3 x 1 x 1 and bias 3 that turn RGB in [0, 1] into a network's input.

    Args:
        first: conv1_1's kernels, C x 3 x 3 x 3.
        numbered: whether the file numbers its convolutions, as torchvision's does.
        given: `caffe` or `imagenet` where it was said; else it is told by the kernels and, where
            they are unknown, by the names: torchvision's mean `imagenet`, Caffe's and Keras'
            `caffe`.

    Raises:
        WeightsError: `given` is neither, or `imagenet` for kernels that are Caffe's.
    """
    if given not in (None, *PREPROCESSINGS):
        known = " nor ".join(PREPROCESSINGS)
        raise WeightsError(f"{source}: preprocessing {given!r} is neither {known}")
    order, span = _caffe_input(first)
    if order is not None and given == "imagenet":
        raise WeightsError(
            f"{source}: these are Caffe's weights by their first layer, which want preprocessing "
            f"caffe, not imagenet; leave preprocessing out"
        )
    if given == "imagenet" or (given is None and order is None and numbered):
        std = np.array(_IMAGENET_STD, np.float32)
        kernel: Array = np.diag(1 / std).astype(np.float32)[:, :, None, None]
        return kernel, (-np.array(_IMAGENET_MEAN, np.float32) / std).astype(np.float32)
    turned = np.eye(3, dtype=np.float32)[:: order or -1, :, None, None] * np.float32(255 * span)
    mean = np.array(_CAFFE_MEAN_BGR, np.float32)[:: -(order or -1)] * np.float32(span)
    return np.ascontiguousarray(turned), -mean


def _caffe_input(first: Array) -> tuple[int | None, float]:
    """Whether these are Caffe's VGG-19's first kernels: -1 if they want BGR, 1 if somebody turned
    them to RGB, None if they are others; and the input's scale, 1 for 0..255."""
    if first.shape != (64, 3, 3, 3):
        return None, 1.0
    found = np.sqrt(np.square(first).sum((2, 3))) * 1000
    flat = float(np.ptp(found)) < 1e-3 * float(found.max())
    for order in () if flat else (-1, 1):
        norms = found[:, ::-order]
        if np.corrcoef(norms.ravel(), _CAFFE_NORMS.ravel())[0, 1] > _ALIKE:
            # Kernels 255 times as large want an input of 0..1.
            times = float(np.median(norms / _CAFFE_NORMS))
            return order, 1.0 if 0.5 < times < 2 else 1 / times
    return None, 1.0
