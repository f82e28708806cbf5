"""`nst run`: one pair, and what it keeps beside the picture."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from batches import INLINE

from pipeline.commands import PairRequest, run_pair
from pipeline.errors import ImageError, ManifestError, RunFolderError, WeightsError


@pytest.fixture
def request_for(tmp_path: Path, picture: Callable[..., Path]) -> Callable[..., PairRequest]:
    def make(output: str, **settings: object) -> PairRequest:
        given = {"size": 48, "steps": 4, **settings}
        paths = (picture("c.png", 1), picture("s.png", 2), tmp_path / output)
        return PairRequest(*paths, given, "lite")

    return make


Make = Callable[..., PairRequest]


def test_animation_and_frames_lie_beside_the_picture(
    request_for: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    request = request_for("out/x.webp", animation="gif", save_every=2)
    folder = request.output.parent
    for _ in range(2):  # the second time in place of the first
        assert run_pair(request, INLINE) == 0
    assert str(request.output) in capsys.readouterr().out
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["x-animation.gif", "x-frames", "x.json", "x.webp"]
    record = json.loads((folder / "x.json").read_text())
    assert (record["name"], record["animation"]) == ("x", "x-animation.gif")
    assert record["output"]["path"] == "x.webp"
    assert sorted(path.name for path in (folder / "x-frames").iterdir()) == [
        "000002.jpg", "000004.jpg"
    ]  # fmt: skip


def test_an_output_that_is_a_folder_is_told_and_nothing_is_left(request_for: Make) -> None:
    request = request_for("out/x.png")
    request.output.mkdir(parents=True)
    with pytest.raises(RunFolderError, match=r"x.png: cannot be written"):
        run_pair(request, INLINE, quiet=True)
    assert [path.name for path in request.output.parent.iterdir()] == ["x.png"]


def test_what_does_not_go_together_is_told_first(request_for: Make) -> None:
    with pytest.raises(ManifestError, match="depth 16 with format jpg does not go"):
        run_pair(request_for("x.jpg", depth=16), INLINE)
    with pytest.raises(ImageError, match="the suffix must be one of"):
        run_pair(request_for("x.bmp"), INLINE)


def test_a_layer_that_no_such_network_has_is_told_before_weights_are_looked_for(
    request_for: Make,
) -> None:
    request = request_for("x.png", style_layers={"conv3_4": 1.0})
    with pytest.raises(WeightsError, match=r"backbone vgg16 has no conv3_4 \(nearest: conv3_3\)"):
        run_pair(replace(request, backbone="vgg16"), INLINE)
    with pytest.raises(WeightsError, match="backbone 'vgg91' is unknown"):
        run_pair(replace(request, backbone="vgg91"), INLINE)
