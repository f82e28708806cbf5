"""The jobs' weights, each where it belongs."""

import torch

from pipeline.layers import LAYERS
from pipeline.manifest import Settings
from pipeline.method import job_weights


def test_each_weight_is_its_jobs_own() -> None:
    names = ("content", "laplacian", "style", "tv", "neighbors", "temporal", "powers")
    keys = (
        "content_weight", "laplacian_weight", "style_weight", "tv_weight", "neighbor_weight",
        "temporal_weight", "gradient_norm",
    )  # fmt: skip
    jobs = [
        Settings.model_validate({key: (1 + i) / base for i, key in enumerate(keys)})
        for base in (8, 16)
    ]
    weights = job_weights(jobs, torch.device("cpu"))
    for i, name in enumerate(names):
        assert getattr(weights, name).tolist() == [(1 + i) / 8, (1 + i) / 16]
    assert weights.normalizes


def test_a_layer_that_a_job_lacks_weighs_nothing() -> None:
    some = Settings.model_validate({"content_layers": {"conv3_1": 2}, "style_layers": ["conv1_1"]})
    other = Settings.model_validate(
        {"content_layers": {"conv4_1": 3}, "style_layers": {"conv5_1": 4}}
    )
    weights = job_weights([some, other], torch.device("cpu"))
    contents = {"conv3_1": [2.0, 0.0], "conv4_1": [0.0, 3.0]}
    styles = {"conv1_1": [some.style_layers["conv1_1"], 0.0], "conv5_1": [0.0, 4.0]}
    for layer in LAYERS:
        assert weights.content_layers[layer].tolist() == contents.get(layer, [0, 0])
        assert weights.style_layers[layer].tolist() == styles.get(layer, [0, 0])
