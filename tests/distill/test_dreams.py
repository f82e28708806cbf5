"""Pictures that are optimized through the student."""

import torch
from students import WIDTHS

from pipeline.distill import STYLE_TAPS
from pipeline.distill.dreams import _LIFE, Dreams
from pipeline.distill.recipe import TAPS
from pipeline.distill.student import Student
from pipeline.method import gram

OUTPUTS = dict.fromkeys(TAPS, 3)


def begun() -> tuple[Dreams, Student, torch.Tensor]:
    """Two pictures of which the second has begun; the student; crops."""
    torch.manual_seed(0)
    student = Student(WIDTHS, OUTPUTS, 0)
    dreams, crops = Dreams.empty(2, 32, OUTPUTS, "cpu"), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        dreams.restart(1, crops, student(crops), turn=4)
    return dreams, student, crops


def test_all_are_old_until_their_turn_comes() -> None:
    dreams, student, crops = begun()
    assert dreams.is_old(0) and not dreams.is_old(1)
    assert torch.equal(dreams.pixels[1], crops[1])  # turn 4 of 3 crops
    with torch.no_grad():
        wanted = student(crops)
    assert torch.equal(dreams.contents[1], wanted["conv4_2"][1])
    for tap in STYLE_TAPS:
        torch.testing.assert_close(dreams.grams[tap][1], gram(wanted[tap][:1])[0])


def test_a_picture_moves_towards_its_grams_and_grows_old() -> None:
    dreams, student, _ = begun()

    def distance() -> float:
        with torch.no_grad():
            features = student(dreams.pixels[1:])
        apart = [
            (gram(features[tap])[0] - dreams.grams[tap][1]).norm() / dreams.grams[tap][1].norm()
            for tap in STYLE_TAPS
        ]
        return float(sum(apart))

    before, other = distance(), dreams.pixels[0].clone()
    for _ in range(_LIFE):
        dreams.advance([1], student)
    assert distance() < 0.8 * before
    assert dreams.is_old(1) and torch.equal(dreams.pixels[0], other)
    assert dreams.pixels.min() >= 0 and dreams.pixels.max() <= 1


def test_what_is_handed_out_is_what_is_taken_back() -> None:
    dreams, _, _ = begun()
    again = Dreams.of(dreams.tensors()).tensors()
    assert again.keys() == dreams.tensors().keys()
    assert all(torch.equal(again[name], value) for name, value in dreams.tensors().items())
