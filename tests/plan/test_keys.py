"""What makes a job another job."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ImageError
from pipeline.manifest import Settings
from pipeline.plan.keys import Keys


def canonical(**settings: object) -> dict[str, object]:
    keys = Keys(lambda settings: "digest", 3)
    found: dict[str, object] = json.loads(keys.canonical(Settings.model_validate(settings)))
    return found


def test_a_style_loss_that_changed_makes_its_own_jobs_anew_and_no_others() -> None:
    assert canonical(style_loss="wasserstein")["style_loss_version"] == 2
    for name in ("gram", "mean_std", "sliced_wasserstein"):
        assert "style_loss_version" not in canonical(style_loss=name)


def test_lbfgs_without_bounds_changed_and_no_other_optimizer() -> None:
    assert canonical(optimizer="lbfgs", clamp=False)["optimizer_version"] == 2
    for others in ({"optimizer": "lbfgs"}, {"optimizer": "adam", "clamp": False}):
        assert "optimizer_version" not in canonical(**others)


def test_spellings_of_a_layer_are_one_job() -> None:
    named = [canonical(content_layers=[name]) for name in ("conv4_2", "relu4_2", "r42")]
    assert named[0] == named[1] == named[2]


def test_the_first_picture_counts_by_its_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"same")
    found = [canonical(init=str(tmp_path / name))["init"] for name in ("a.png", "b.png")]
    assert found[0] == found[1] != "same"
    with pytest.raises(ImageError):
        canonical(init=str(tmp_path / "gone.png"))


def test_a_size_step_that_changes_nothing_is_in_no_key() -> None:
    assert "size_step" not in Settings(preset="classic").deciding_pixels()
    assert "size_step" not in Settings(size=96).deciding_pixels()
    assert Settings().deciding_pixels()["size_step"] == 16  # as if it were named
    assert Settings(size_step=16).deciding_pixels()["size_step"] == 16
    assert "max_size" not in Settings(size="original").deciding_pixels()
    assert Settings(size="original", max_size=99).deciding_pixels()["max_size"] == 99


@pytest.mark.parametrize(
    ("given", "step"),
    [
        ({}, 16),
        ({"size": 128, "fit": "short"}, 16),
        ({"size": 127}, 1),
        ({"size": "original"}, 1),
        ({"size": "320x200", "fit": "exact"}, 1),
        ({"preset": "default@3"}, 1),
        ({"preset": "fast"}, 16),
        ({"size_step": 8, "size": 64}, 8),
    ],
)
def test_sides_are_multiples_of_16_where_nothing_says_otherwise(
    given: dict[str, Any], step: int
) -> None:
    assert Settings.model_validate(given).side_step == step
    assert Settings.model_validate(given).of_clips().side_step == (step if step == 8 else 1)


@pytest.mark.parametrize("wrong", [0, 257, 1.5, True, "often"])
def test_a_step_of_sides_is_a_number_of_px_or_auto(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"must be auto or a whole number between 1 and 256 px"):
        Settings.model_validate({"size_step": wrong})
