"""A student's file."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from students import RECIPE

from pipeline.distill import save_student
from pipeline.distill.files import round_to_half
from pipeline.distill.recipe import TAPS
from pipeline.distill.student import Student
from pipeline.layers import LAYERS
from pipeline.method import load_weights


def test_a_file_loads_as_what_was_saved_and_says_what_it_is(tmp_path: Path) -> None:
    student = Student(RECIPE, dict.fromkeys(TAPS, 3)).weights(
        dict.fromkeys(LAYERS, 1.0), dict.fromkeys(LAYERS, 64)
    )
    half = round_to_half(student)
    path = tmp_path / "out.safetensors"
    save_student(half, path, {"note": "test", "errors": {"conv1_1": 0.5}})
    loaded = load_weights("lite", path)
    assert loaded.digest == half.digest != student.digest
    with safe_open(path, framework="pt") as file:
        about = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
        channels = {key: about.pop(key) for key in [*about] if key.startswith("channels.")}
        assert all(file.get_tensor(key).dtype == torch.float16 for key in file.keys())  # noqa: SIM118
    assert about == {"note": "test", "errors": {"conv1_1": 0.5}}
    assert channels == {f"channels.{tap}": 64 for tap in TAPS}
    assert loaded.channels["conv4_2"] == 64


def test_rounding_twice_is_rounding_once() -> None:
    student = Student(RECIPE, dict.fromkeys(TAPS, 3)).weights(
        dict.fromkeys(LAYERS, 1.0), dict.fromkeys(LAYERS, 64)
    )
    once = round_to_half(student)
    assert round_to_half(once).digest == once.digest
    assert round_to_half(replace(once, source="elsewhere")).digest == once.digest
