"""A training in progress, and what comes out of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from students import RECIPE, WIDTHS

from pipeline.distill import Training, held_out_errors, save_student
from pipeline.distill.recipe import TAPS
from pipeline.errors import WeightsError
from pipeline.method import Backbone, Weights, load_weights, mean_activations, normalize
from pipeline.pictures import read_image, to_tensor


def test_a_resumed_training_ends_as_one_that_was_never_stopped(
    teacher: Weights, photos: list[Path], tmp_path: Path
) -> None:
    straight, resumed = (Training(RECIPE, teacher, [photos]) for _ in range(2))
    for step in straight.run():
        if step.step == 2:
            straight.save_checkpoint(tmp_path / "c")
    resumed.load_checkpoint(tmp_path / "c")
    assert [step.step for step in resumed.run()] == [3, 4]
    wanted, made = straight.result(), resumed.result()
    for layer, (weight, _) in wanted.convs.items():
        torch.testing.assert_close(made.convs[layer][0], weight, rtol=2e-3, atol=2e-3)


def test_filters_of_the_result_have_one_size(teacher: Weights, photos: list[Path]) -> None:
    """So that half precision holds them all."""
    weights = Training(RECIPE, teacher, [photos]).result()
    network = Backbone(replace(weights, heads={}), ["conv3_1"], padding=RECIPE.padding)
    samples = [to_tensor(read_image(path))[None] for path in photos]
    features = torch.cat([network(sample)["conv3_1"].flatten(2) for sample in samples], 2)
    sizes = features.square().mean((0, 2)).sqrt()
    alive = sizes[sizes > 0.01]
    torch.testing.assert_close(alive, torch.ones_like(alive), rtol=0.02, atol=0.02)
    assert weights.channels["conv3_1"] == 8  # the teacher's


def test_a_student_file_loads_and_knows_its_taps(
    teacher: Weights, photos: list[Path], tmp_path: Path
) -> None:
    training = Training(RECIPE, teacher, [photos])
    save_student(training.result(), tmp_path / "out.safetensors", {"note": "test"})
    student = load_weights("lite", tmp_path / "out.safetensors")
    assert student.digest == training.result().digest
    features = Backbone(student, TAPS)(torch.rand(1, 3, 48, 48))
    assert all(bool(torch.isfinite(f).all()) for f in features.values())
    errors = held_out_errors(student, teacher, photos)
    assert set(errors) == set(TAPS) and all(0 <= e <= 1 for e in errors.values())


def test_training_lowers_its_loss_and_says_the_errors_of_every_tap(
    teacher: Weights, photos: list[Path]
) -> None:
    recipe = replace(RECIPE, steps=60, dreams=0, learning_rate=0.02, kernel_rate=0.02)
    steps = list(Training(recipe, teacher, [photos]).run())
    assert [step.step for step in steps] == list(range(1, 61))
    losses = [step.loss for step in steps]
    assert sum(losses[-20:]) < sum(losses[:20])
    assert all(set(step.errors) == set(TAPS) for step in steps)


def test_a_dream_goes_on_when_its_turn_comes_again(teacher: Weights, photos: list[Path]) -> None:
    training = Training(replace(RECIPE, steps=34), teacher, [photos])
    for _ in training.run():
        pass
    ages = training.dreams.ages.tolist()
    assert ages == [1, 1] + [0] * 30  # 32 pictures, one a step, 34 steps


def test_a_wider_network_computes_what_the_one_that_it_began_with_did(
    teacher: Weights, photos: list[Path]
) -> None:
    first = Training(RECIPE, teacher, [photos]).result()
    wider = replace(RECIPE, widths=tuple(width + 2 for width in WIDTHS))
    training = Training(wider, teacher, [photos], start=first)
    small = Backbone(replace(first, heads={}), ["conv5_1"], padding=RECIPE.padding)
    images = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        found = dict(training.student.trunk(images))["conv5_1"][:, :8]
    wanted = small(images)["conv5_1"]
    alive = wanted.flatten(2).amax(2)[0] > 0
    scale = found[0, alive].flatten(1).norm(dim=1) / wanted[0, alive].flatten(1).norm(dim=1)
    scaled = wanted[0, alive] * scale[:, None, None]
    torch.testing.assert_close(found[0, alive], scaled, rtol=2e-2, atol=2e-2)


def test_a_network_that_is_wider_cannot_be_begun_with(teacher: Weights, photos: list[Path]) -> None:
    wide = Training(RECIPE, teacher, [photos]).result()
    narrow = replace(RECIPE, widths=tuple(width - 1 for width in WIDTHS))
    with pytest.raises(WeightsError, match="can begin with one that is no wider"):
        Training(narrow, teacher, [photos], start=wide)


def test_a_network_that_wants_another_input_cannot_be_begun_with(
    teacher: Weights, photos: list[Path]
) -> None:
    with pytest.raises(WeightsError, match="wants to see other values"):
        Training(RECIPE, teacher, [photos], start=teacher)


def test_a_trained_network_knows_how_much_smaller_its_teachers_normalized_features_are(
    teacher: Weights, photos: list[Path]
) -> None:
    """So that the normalized variant's losses have the teacher's size."""
    weights = Training(RECIPE, teacher, [photos]).result()
    assert set(weights.means) == set(TAPS)
    sample = to_tensor(read_image(photos[0]))[None]
    features = Backbone(teacher, TAPS, padding=RECIPE.padding)(sample)
    for tap in TAPS:
        flat = features[tap][0].flatten(1).double()
        means = flat.mean(1)
        means = torch.where(means > 1e-3 * means.mean(), means, torch.ones_like(means))
        wanted = (flat.square().sum() / (flat / means[:, None]).square().sum()).sqrt()
        assert weights.means[tap] == pytest.approx(float(wanted), rel=0.02)
    scaled = normalize(weights, mean_activations(weights, [sample], padding=RECIPE.padding))
    plain, divided = (Backbone(w, ["conv3_1"])(sample)["conv3_1"] for w in (weights, scaled))
    torch.testing.assert_close(divided * weights.means["conv3_1"], plain, rtol=1e-2, atol=1e-2)
