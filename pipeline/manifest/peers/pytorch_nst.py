"""pytorch-neural-style-transfer: neural_style_transfer.py of
github.com/gordicaleksa/pytorch-neural-style-transfer.

Mean squared errors of features; of Gram matrices over N M the sum, meant over the layers. It gives
torchvision's network pixels of 0 to 255 less their mean, where that was trained on pixels over
their deviation, so its features are about 57 times as large; weights here make up for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.manifest.peers.translation import (
    Option,
    Tool,
    Translation,
    chooses,
    keeps,
    number,
    one_of,
    sets,
)
from pipeline.manifest.presets import STYLE_LAYERS

_CHANNELS = (64, 128, 256, 512, 512)
_LARGER = 255 * 0.226  # 255 times the mean of ImageNet's deviations
_OF_VGG16 = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")


def _finish(found: Translation, plain: Sequence[str]) -> None:
    own, settings = found.own, found.settings
    content = PurePosixPath(own.get("content", "figures.jpg"))
    style = PurePosixPath(own.get("style", "vg_starry_night.jpg"))
    found.content = str("data/content-images" / content)
    found.styles = [str("data/style-images" / style)]
    first, second = content.name.split(".")[0], style.name.split(".")[0]
    found.output = f"data/output-images/combined_{first}_{second}.jpg"
    model = own.get("model", "vgg19")
    found.backbone = {"name": model, "weights": "torchvision"}
    width, height = found.shape(f"--height {own.get('height', 400)}")
    settings["size"] = own.get("height", 400)
    settings["fit"] = "short" if width >= height else "long"
    _weigh(found, model)
    adam = settings.get("optimizer") == "adam"
    settings["steps"] = 3000 if adam else 1000
    if adam:
        settings["learning_rate"], settings["adam_decay"] = 10 / 255, 0.999
    kind = own.get("init", "content")
    settings["init"] = found.styles[0] if kind == "style" else kind
    if kind == "noise":
        found.notes.append("--init_method random: noise of 90 in 255 there, here of 64")
    if settings.get("save_every", 1) < 1:
        del settings["save_every"]


def _weigh(found: Translation, model: str) -> None:
    """Weights of layers and losses, for features as they are here."""
    own, settings = found.own, found.settings
    layers = STYLE_LAYERS if model == "vgg19" else _OF_VGG16
    # A sum over N^2 of what N M has divided, there; `loss: mean` divides by N^4.
    settings["style_layers"] = {
        layer: _CHANNELS[int(layer[4]) - 1] ** 2 / len(layers) for layer in layers
    }
    settings["content_layers"] = {"conv4_2" if model == "vgg19" else "conv2_2": 1.0}
    settings["content_weight"] = own.get("content_weight", 1e5) * _LARGER**2
    settings["style_weight"] = own.get("style_weight", 3e4) * _LARGER**4
    settings["tv_loss"] = "sum_absolute"
    settings["tv_weight"] = own.get("tv_weight", 1.0) * 255
    found.notes.append(
        "weights: of features as they are here; the network got pixels of 0 to 255 there, so "
        "pictures are alike, not the same"
    )


_INITS: dict[str, Any] = {"random": "noise", "content": "content", "style": "style"}
_MODELS: dict[str, Any] = {"vgg16": "vgg16", "vgg19": "vgg19"}
_OPTIONS: dict[str, Option] = {
    "--content_img_name": keeps("content"),
    "--style_img_name": keeps("style"),
    "--height": keeps("height", number),
    "--content_weight": keeps("content_weight", number),
    "--style_weight": keeps("style_weight", number),
    "--tv_weight": keeps("tv_weight", number),
    "--optimizer": chooses("optimizer", {"lbfgs": "lbfgs", "adam": "adam"}),
    "--model": keeps("model", lambda text: one_of(_MODELS, text)),
    "--init_method": keeps("init", lambda text: one_of(_INITS, text)),
    "--saving_freq": sets("save_every"),
}
PYTORCH_NST = Tool("neural-style", _OPTIONS, _finish, ("pytorch-neural-style-transfer",))
