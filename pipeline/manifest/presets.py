"""The presets: choices of settings under a name. A new one is an entry in both tables here.

A preset whose values change becomes a new version: the old values stay under `name@version`, with
which run folders go on that began with them.

In: nothing. Out: plain values, which settings start from.
"""

from __future__ import annotations

from typing import Any

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
# One optimizer run at one size and rate, as the older tools do.
_PLAIN: dict[str, Any] = {
    "scale_start": 0,
    "detail": 0.0,
    "warmup": 0,
    "learning_rate_falloff": 1.0,
    "learning_rate_end": 1.0,
    "clamp": False,
    "average": 0.0,
    "padding": "zeros",
    "precision": "fp32",  # differences of gradients are what L-BFGS learns from
}
_GATYS: dict[str, Any] = _PLAIN | {
    "tv_weight": 0.0,
    "optimizer": "lbfgs",
    "learning_rate": 1.0,
    "corrections": 100,
}
# Half as many steps as Gram matrices alone want: large shapes come at a small size, where steps
# cost little. A larger picture begins as a smaller one does and has a scale more, with as many
# steps as the last: so it keeps the look.
_DEFAULT: dict[str, Any] = {
    "scale_start": 64,
    "scale_factor": 2.0,
    "steps": (60, 41, 29, 20),
    "style_loss": "wasserstein",
    "neighbor_weight": 2.0,
}
# For data sets, whose pictures may be a camera's. From the content picture in the style's colors
# there is less to do, and few steps want their full rate early, and a little less of the content.
# Nearest neighbors cost as much here as steps that do more.
_FAST = _DEFAULT | {
    "init": "content_matched",
    "steps": (20, 12, 6, 3),
    "warmup": 4,
    "neighbor_weight": 0.0,
    "content_weight": 0.6,
}
_DRAFT = _FAST | {"steps": (8, 4, 2)}
_REDUCED: dict[str, Any] = {"decoding": "reduced"}
_GRAM_AND_NEIGHBORS = _DEFAULT | {"steps": 150, "style_loss": "gram"}
_GRAM_ALONE: dict[str, Any] = {"average": 0.95}
_PREVIEW = _DEFAULT | {"size": 256, "steps": (37, 25, 18)}
# Pictures of mixed sizes fill batches; no side loses or gains more than 8 px.
_STEPPED: dict[str, Any] = {"size_step": "auto"}
# What is decoded of a camera's picture beside the steps takes time from a CPU's.
_TODAY = _REDUCED | _STEPPED
PRESETS: dict[str, dict[str, Any]] = {
    "default": _DEFAULT | _TODAY,
    "fast": _FAST | _TODAY,
    "draft": _DRAFT | _TODAY,
    "preview": _PREVIEW | _TODAY,
    "classic": _GRAM_ALONE,
    # Gatys, Ecker, Bethge, CVPR 2016, with weights, start and steps of the first author's own code,
    # NeuralStyleTransfer.ipynb of github.com/leongatys/PytorchNeuralStyleTransfer: mean squared
    # errors, content 1, style 1e3 / N^2 a layer for Gram matrices over their positions. By the
    # paper's equations with its alpha/beta of 1e-3 (version 1) there is next to no style. Average
    # pooling is the paper's; the code has max.
    "gatys2016": _GATYS
    | {
        "steps": 500,
        "init": "content",
        "loss": "mean",
        "content_weight": 1.0,
        "style_weight": 1e3,
        "style_layers": dict.fromkeys(STYLE_LAYERS, 1.0),
    },
    # neural_style.lua of github.com/jcjohnson/neural-style at 053a6e3 (options, ContentLoss,
    # GramMatrix, StyleLoss, TVLoss, `init == 'random'`); neural-style-pt has the same but for total
    # variation's absolute differences. Pixels there span 0 to 255: its TVLoss, half the sum of
    # squares, weighs 255^2 / 2 as much here. (They are in fact multiplied by 256 on their way into
    # the network, which Caffe never did; here they are not. Losses at the start are 1% lower.)
    "neural-style": _PLAIN
    | {
        "size": 512,
        "steps": 1000,
        "init": "mean",
        "loss": "mean",
        "content_weight": 5.0,
        "style_weight": 100.0,
        "tv_weight": 1e-3 * 255**2 / 2,
        "tv_loss": "sum_squares",
        "content_layers": {"conv4_2": 1.0},
        "style_layers": dict.fromkeys(STYLE_LAYERS, 1.0),
        "optimizer": "lbfgs",
        "learning_rate": 1.0,
        "corrections": 100,
        "pooling": "max",
    },
    # style_transfer.py of github.com/crowsonkb/style-transfer-pytorch: the defaults of `stylize`,
    # StyleLossW2, ContentLossMSE, TVLoss, `gen_scales`, `scale_adam`.
    "style-transfer-pytorch": {
        "size": 512,
        "scale_start": 128,
        "scale_factor": 2**0.5,
        "steps": (1000, 500),
        "detail": 0.0,
        "carry": True,
        "loss": "mean",
        "style_loss": "wasserstein",
        "content_weight": 0.015,
        "style_weight": 1.0,
        "tv_weight": 2.0,
        "tv_loss": "nine_point",
        "content_layers": {"conv4_2": 1.0},
        "style_layers": {
            layer: weight / 341
            for layer, weight in zip(STYLE_LAYERS, (256, 64, 16, 4, 1), strict=True)
        },
        "optimizer": "adam",
        "learning_rate": 0.02,
        "learning_rate_falloff": 1.0,
        "learning_rate_end": 1.0,
        "warmup": 0,
        "average": 0.99,
        "pooling": "max",
        "padding": "replicate_first",
        "precision": "fp32",
    },
    # What the common PyTorch tutorials share: Adam on pixels of 0 to 255 with learning rate 1 (so
    # 1/255 here), both pictures squeezed to a square, Gram matrices over c h w, alpha 1, beta 1e6.
    "tutorial": _PLAIN
    | {
        "size": "512x512",
        "fit": "stretch",
        "steps": 500,
        "init": "content",
        "loss": "mean",
        "content_weight": 1.0,
        "style_weight": 1e6,
        "tv_weight": 0.0,
        "content_layers": {"conv4_2": 1.0},
        "style_layers": dict.fromkeys(STYLE_LAYERS, 1.0),
        "optimizer": "adam",
        "learning_rate": 1 / 255,
        "adam_decay": 0.999,
        "pooling": "max",
    },
}
# Presets whose values are not the first that they had, and which ones these are.
PRESET_VERSIONS = {
    "default": 5, "fast": 3, "draft": 3, "preview": 5, "gatys2016": 2, "style-transfer-pytorch": 2,
}  # fmt: skip
_OLD: dict[str, dict[str, Any]] = {
    "default@1": _GRAM_ALONE,
    "default@2": _GRAM_AND_NEIGHBORS,
    "default@3": _DEFAULT,
    "default@4": _DEFAULT | _STEPPED,
    "fast@1": _FAST,
    "fast@2": _FAST | _REDUCED,
    "draft@1": _DRAFT,
    "draft@2": _DRAFT | _REDUCED,
    "preview@1": _GRAM_ALONE | {"size": 256, "steps": 150, "scale_start": 96},
    "preview@2": _GRAM_AND_NEIGHBORS | {"size": 256, "steps": 80},
    "preview@3": _PREVIEW,
    "preview@4": _PREVIEW | _STEPPED,
    "gatys2016@1": _GATYS
    | {
        "steps": 1000,
        "init": "noise",
        "loss": "paper",
        "content_weight": 1e-3,
        "style_weight": 1.0,
        "normalized": True,
    },
    "style-transfer-pytorch@1": PRESETS["style-transfer-pytorch"] | {"tv_loss": "mean_squares"},
}


def preset_version(preset: str) -> int:
    """The version of a preset that a name means.

    >>> preset_version("default"), preset_version("default@1"), preset_version("tutorial")
    (5, 1, 1)
    """
    name, _, version = preset.partition("@")
    return int(version) if version else PRESET_VERSIONS.get(name, 1)


def preset_values(preset: str) -> dict[str, Any] | None:
    """The settings of a preset, perhaps of an older version, `name@version`; None for no preset."""
    name, mark, version = preset.partition("@")
    if mark and version == str(PRESET_VERSIONS.get(name, 1)):
        preset = name
    return PRESETS.get(preset, _OLD.get(preset))


PRESET_HELP = {
    "default": "strong strokes and colors, the content still plain to see; any backbone",
    "fast": "for data sets: a few steps from the content in the style's colors",
    "draft": "the quickest: the style's colors and some of its strokes",
    "preview": "a small, quick look at the same",
    "classic": "Gram matrices alone, 300 steps: what `default` was before nearest neighbors",
    "gatys2016": "Gatys, Ecker, Bethge (CVPR 2016): average pooling, L-BFGS, weights and start of "
    "the first author's code; gatys2016@1 is the paper to the letter, with next to no style",
    "neural-style": "the defaults of neural-style and neural-style-pt: L-BFGS from gray, max "
    "pooling, mean squared errors, 1000 steps (for Caffe's VGG-19 weights, or lite)",
    "style-transfer-pytorch": "the defaults of style-transfer-pytorch, for torchvision's VGG-19: "
    "Wasserstein style loss, Adam over scales of sqrt(2)",
    "tutorial": "the common PyTorch tutorial: Adam at one size from the content picture, 512 x 512 "
    "whatever its shape",
}
