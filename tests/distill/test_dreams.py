"""Pictures that are optimized through the student."""

import random

import torch
from students import RECIPE

from pipeline.distill import STYLE_TAPS
from pipeline.distill.dreams import LIFE, Dreams
from pipeline.distill.recipe import TAPS
from pipeline.distill.student import Student
from pipeline.method import gram

OUTPUTS = dict.fromkeys(TAPS, 3)


class Always(random.Random):
    """A draw that is always the same."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


def begun() -> tuple[Dreams, Student, torch.Tensor]:
    """Two pictures of which the second has begun; the student; crops."""
    torch.manual_seed(0)
    student = Student(RECIPE, OUTPUTS)
    dreams, crops = Dreams.empty(2, 32, OUTPUTS, "cpu"), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        known = [{k: v[n : n + 1] for k, v in student(crops).items()} for n in range(3)]
        content, style = ((crops[n : n + 1], known[n]) for n in (1, 0))
        dreams.restart(1, content, style, Always(0.9))
    return dreams, student, crops


def test_all_are_old_until_their_turn_comes() -> None:
    dreams, student, crops = begun()
    assert dreams.is_old(0) and not dreams.is_old(1)
    assert torch.equal(dreams.pixels[1], crops[1])
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
    dreams.balances[1] = 0.001  # the style alone
    dreams.advance([1], student, LIFE)
    assert distance() < 0.8 * before
    assert dreams.is_old(1) and torch.equal(dreams.pixels[0], other)
    assert dreams.pixels.min() >= 0 and dreams.pixels.max() <= 1


def test_some_begin_in_the_styles_colors() -> None:
    dreams, student, crops = begun()
    style = crops[:1] * 0.2 + 0.1
    with torch.no_grad():
        known = {k: v[:1] for k, v in student(crops).items()}
        dreams.restart(0, (crops[1:2], known), (style, known), Always(0.1))
    found, wanted = dreams.pixels[0].flatten(1), style[0].flatten(1)
    torch.testing.assert_close(found.mean(1), wanted.mean(1), rtol=0.02, atol=0.01)
    torch.testing.assert_close(found.std(1), wanted.std(1), rtol=0.1, atol=0.01)


def test_what_is_handed_out_is_what_is_taken_back() -> None:
    dreams, _, _ = begun()
    again = Dreams.of(dreams.tensors()).tensors()
    assert again.keys() == dreams.tensors().keys()
    assert all(torch.equal(again[name], value) for name, value in dreams.tensors().items())
