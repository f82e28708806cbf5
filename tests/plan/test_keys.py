"""What makes a job another job."""

import json
from pathlib import Path

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
    assert "size_step" not in Settings().deciding_pixels()
    assert Settings(size_step=16).deciding_pixels()["size_step"] == 16
    assert "max_size" not in Settings(size="original").deciding_pixels()
    assert Settings(size="original", max_size=99).deciding_pixels()["max_size"] == 99
