"""What `benchmarks/looks.py` measures and draws."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import looks
from judge import Figures


def test_a_picture_is_alike_to_itself_as_its_content_is_whatever_its_colors() -> None:
    features = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0))
    assert looks.self_similarity(3 * features, features) == pytest.approx(0, abs=1e-6)
    other = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(1))
    a, b = (f.flatten(1).double().numpy() for f in (features, other))
    a, b = (x / np.linalg.norm(x, axis=0) for x in (a, b))
    wanted = np.abs(a.T @ a - b.T @ b).mean()
    assert looks.self_similarity(features, other) == pytest.approx(wanted, rel=1e-5)


def test_saturation_and_contrast_are_those_of_plain_colors() -> None:
    red = torch.tensor([1.0, 0.25, 0.5]).view(3, 1, 1).expand(3, 4, 4)
    assert looks.saturation(red) == 0.75 and looks.contrast(red) == pytest.approx(0, abs=1e-6)
    board = torch.tensor([0.0, 1.0]).repeat(3, 4, 2)
    assert looks.saturation(board) == 0
    assert looks.contrast(board) == pytest.approx(board[0].numpy().std(ddof=1))


def look(sliced: float, content: float) -> looks.Look:
    return looks.Look(Figures(0.2, sliced, content), 0.1, 1.0, 1.0, 2.0)


def test_the_table_counts_pairs_below_the_first_preset() -> None:
    old, new = [look(0.2, 1.0), look(0.1, 2.0)], [look(0.1, 1.1), look(0.3, 2.4)]
    found = looks.table({"old": old, "new": new})
    assert found["new"]["sliced below"] == 1 and found["old"]["sliced below"] == 0
    assert found["new"]["content over"] == pytest.approx(1.15)
    assert found["new"]["sliced"] == 0.2 and found["new"]["seconds"] == 2.0


def test_blind_sheets_hide_which_is_which_and_keep_the_key(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    row = [picture("c.png", 1), picture("s.png", 2)]
    for name, color in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (72, 56), color).save(tmp_path / name)
        row.append(tmp_path / name)
    looks.blind_sheets([row] * 8, tmp_path / "blind", ["old", "new"])
    key = json.loads((tmp_path / "blind/key.json").read_text())
    colors = {"old": (255, 0, 0), "new": (0, 0, 255)}
    for number, named in key.items():
        with Image.open(tmp_path / f"blind/{number}.png") as image:
            at = {"A": (20, 384 + 20), "B": (384 + 20, 384 + 20)}
            assert {side: image.getpixel(at[side]) for side in at} == {
                side: colors[preset] for side, preset in named.items()
            }


@pytest.mark.long
def test_pictures_are_made_once_by_one_manifest(
    tmp_path: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("c.png", 1), picture("s.png", 2)
    (tmp_path / "pairs.csv").write_text("content,style\nc.png,s.png\n")
    pairs = looks.read_pairs(tmp_path / "pairs.csv")
    made = looks.make(pairs, "lite", ["default", "preview"], 48, tmp_path / "out")
    assert {preset for _, preset in made} == {"default", "preview"}
    path, seconds = made[pairs[0], "default"]
    assert path.exists() and seconds > 0
    changed = path.stat().st_mtime_ns
    again = looks.make(pairs, "lite", ["default", "preview"], 48, tmp_path / "out")
    assert again == made and path.stat().st_mtime_ns == changed
