"""The jobs' weights over a batch: each its own, and one upload of all."""

import pytest
import torch

from pipeline.layers import LAYERS
from pipeline.manifest import Settings
from pipeline.method import job_weights

NAMES = {
    "content": "content_weight",
    "laplacian": "laplacian_weight",
    "style": "style_weight",
    "tv": "tv_weight",
    "neighbors": "neighbor_weight",
    "temporal": "temporal_weight",
    "powers": "gradient_norm",
}


def test_each_weight_is_its_settings_own() -> None:
    names = list(NAMES.values())
    jobs = [
        Settings.model_validate(
            {
                **{name: 0.5 + job + 2 * place for place, name in enumerate(names[:-1])},
                "gradient_norm": 0.25 + job / 2,
                "content_layers": {"conv3_1": 0.5 + job, "conv4_2": 1.5},
                "style_layers": {"conv1_1": 0.1 + job, "conv5_1": 0.3},
            }
        )
        for job in range(2)
    ]
    found = job_weights(jobs, torch.device("cpu"))
    for field, name in NAMES.items():
        assert getattr(found, field).tolist() == [getattr(job, name) for job in jobs]
    for field in ("content_layers", "style_layers"):
        layers = getattr(found, field)
        assert list(layers) == list(LAYERS)
        for layer, values in layers.items():
            wanted = [getattr(job, field).get(layer, 0.0) for job in jobs]
            assert values.tolist() == pytest.approx(wanted, rel=1e-6)
            assert values.dtype == torch.float32
    assert found.normalizes and not job_weights([Settings()], torch.device("cpu")).normalizes


def test_they_go_to_their_device_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, ...]] = []

    def pin(values: torch.Tensor) -> torch.Tensor:
        sent.append(tuple(values.shape))
        return values

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", lambda values, device, non_blocking: values)
    found = job_weights([Settings()] * 3, torch.device("cuda:0"))
    assert sent == [(7 + 2 * len(LAYERS), 3)]
    assert found.style.tolist() == [Settings().style_weight] * 3
