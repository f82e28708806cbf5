"""How far a student is from its teacher."""

from dataclasses import replace
from pathlib import Path

import torch

from pipeline.distill import held_out_errors
from pipeline.distill.recipe import TAPS
from pipeline.method import Weights


def test_a_teacher_is_its_own_perfect_student(teacher: Weights, photos: list[Path]) -> None:
    assert max(held_out_errors(teacher, teacher, photos).values()) < 1e-4


def test_a_student_in_another_basis_is_as_good(teacher: Weights, photos: list[Path]) -> None:
    draw = torch.Generator().manual_seed(0)
    heads = {}
    for tap in TAPS:
        channels = len(teacher.convs[tap][1])
        turned = torch.linalg.qr(torch.randn(channels, channels, generator=draw))[0]
        heads[tap] = (turned[:, :, None, None], torch.ones(channels))
    student = replace(teacher, heads=heads).with_digest()
    assert max(held_out_errors(student, teacher, photos).values()) < 1e-3


def test_a_student_that_saw_nothing_is_worse_the_deeper_it_goes(
    teacher: Weights, photos: list[Path]
) -> None:
    draw = torch.Generator().manual_seed(1)
    convs = {
        layer: (torch.randn(weight.shape, generator=draw) * weight.std(), bias)
        for layer, (weight, bias) in teacher.convs.items()
    }
    errors = held_out_errors(replace(teacher, convs=convs).with_digest(), teacher, photos)
    assert set(errors) == set(TAPS) and all(1e-3 < error <= 1 for error in errors.values())
