"""The teacher made small, and the network that learns it."""

from dataclasses import replace

import torch
from students import RECIPE

from pipeline.distill.crops import draw_crops
from pipeline.distill.recipe import HINTS, TAPS
from pipeline.distill.student import Student, fit_heads, reduce_teacher
from pipeline.layers import LAYERS
from pipeline.method import Backbone, Weights, gram

OUTPUTS = dict.fromkeys(TAPS, 3)


def test_a_reduced_teacher_keeps_distances_between_grams(
    teacher: Weights, photos: list[object]
) -> None:
    crops = [draw_crops([photos], RECIPE, step, 2) for step in range(4)]  # type: ignore[arg-type]
    reduced = reduce_teacher(teacher, crops, dict.fromkeys(LAYERS, 99), "zeros")
    full, small = (Backbone(w, HINTS, padding="zeros")(crops[0]) for w in (teacher, reduced))
    for tap in TAPS:
        assert small[tap].shape[1] <= full[tap].shape[1]
        apart = [gram(f[tap])[0] - gram(f[tap])[1] for f in (full, small)]
        torch.testing.assert_close(apart[1].norm(), apart[0].norm(), rtol=0.02, atol=1e-6)


def test_a_reduced_teacher_has_no_more_directions_than_the_student_has_channels(
    teacher: Weights, photos: list[object]
) -> None:
    crops = [draw_crops([photos], RECIPE, 0, 2)]  # type: ignore[arg-type]
    reduced = reduce_teacher(teacher, crops, dict.fromkeys(LAYERS, 2), "zeros")
    assert reduced.digest != teacher.digest
    for weight, bias in reduced.heads.values():
        assert weight.shape[0] <= 2
        rows = weight[:, :, 0, 0]
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)))
        assert bias.shape == (len(rows),)


def test_the_same_seed_begins_with_the_same_student() -> None:
    first, again, other = (Student(replace(RECIPE, seed=seed), OUTPUTS) for seed in (0, 0, 1))
    images = torch.rand(2, 3, 32, 32)
    features = first(images)
    assert set(features) == set(TAPS)
    assert [features[tap].shape[-1] for tap in TAPS] == [32, 16, 8, 4, 4, 2]
    assert all(torch.equal(f, again(images)[tap]) for tap, f in features.items())
    assert not torch.equal(features["conv1_1"], other(images)["conv1_1"])


def test_a_backbone_of_the_students_weights_gives_its_features() -> None:
    student = Student(RECIPE, OUTPUTS | {"conv1_2": 3})
    weights = student.weights(dict.fromkeys(LAYERS, 2.0), dict.fromkeys(LAYERS, 64))
    assert weights.channels == dict.fromkeys(TAPS, 64)
    assert set(weights.heads) == set(TAPS)  # others serve the training alone
    images = torch.rand(1, 3, 32, 32)
    features = Backbone(weights, TAPS, padding=RECIPE.padding)(images)
    with torch.no_grad():
        for tap in TAPS:
            wanted = 2 * student(images)[tap]
            torch.testing.assert_close(features[tap], wanted, rtol=1e-3, atol=1e-4)


def test_fitted_heads_give_what_can_be_given_by_a_linear_map() -> None:
    torch.manual_seed(0)
    student, other = Student(RECIPE, OUTPUTS), Student(RECIPE, OUTPUTS)
    for head in other.heads.values():
        torch.nn.init.normal_(head.get_parameter("weight"))
        torch.nn.init.normal_(head.get_parameter("bias"))
    batches = [torch.rand(2, 3, 32, 32) for _ in range(3)]
    with torch.no_grad():
        fit_heads(student, ((images, other(images)) for images in batches))
        for images in batches:
            for tap, wanted in other(images).items():
                error = (student(images)[tap] - wanted).square().sum() / wanted.square().sum()
                assert error < 1e-3
