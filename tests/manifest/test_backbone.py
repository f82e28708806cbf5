"""A manifest's backbone: what is wrong with it is told with its line, before weights are sought."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, load_manifest

HEAD = "output: run\ncontent: a.png\nstyle: s.png\n"


@pytest.fixture
def load(tmp_path: Path, picture: Callable[..., Path]) -> Callable[[str], Manifest]:
    """Reads a manifest of two pictures and these lines, the first of which is line 4."""
    picture("a.png", 1)
    picture("s.png", 2)

    def read(lines: str) -> Manifest:
        (tmp_path / "m.yaml").write_text(HEAD + lines)
        return load_manifest(tmp_path / "m.yaml")

    return read


def problems(load: Callable[[str], Manifest], lines: str) -> list[str]:
    with pytest.raises(ManifestError) as raised:
        load(lines)
    return [text.partition("m.yaml")[2] for text in raised.value.problems]


@pytest.mark.parametrize(
    ("weights", "meant"),
    [("Caffe", "caffe"), ("torchvison", "torchvision"), ("TorchVision", "torchvision")],
)
def test_a_misspelled_source_is_told_unless_there_is_such_a_file(
    load: Callable[[str], Manifest], tmp_path: Path, weights: str, meant: str
) -> None:
    lines = f"backbone: {{name: vgg19, weights: {weights}}}\n"
    assert problems(load, lines) == [
        f":4: backbone.weights: {tmp_path / weights}: no such weight file; did you mean {meant}?"
    ]
    (tmp_path / weights).touch()
    assert load(lines).weights == tmp_path / weights


def test_a_misspelled_file_is_told_with_the_nearest_there(
    load: Callable[[str], Manifest], tmp_path: Path
) -> None:
    (tmp_path / "own.safetensors").touch()
    (told,) = problems(load, "backbone: {weights: own.safetensor}\n")
    assert told.endswith("no such weight file; did you mean 'own.safetensors'?")


@pytest.mark.parametrize("word", ["caffe", "Torchvision"])
def test_lite_has_no_sources(load: Callable[[str], Manifest], word: str) -> None:
    (told,) = problems(load, f"backbone: {{name: lite, weights: {word}}}\n")
    assert told == (
        f":4: backbone.weights: lite has no weights of {word.lower()}; leave weights out for its "
        f"own, or name a file"
    )


@pytest.mark.parametrize(
    ("weights", "wanted", "given"),
    [("caffe", "caffe", "imagenet"), ("torchvision", "imagenet", "caffe")],
)
@pytest.mark.parametrize("name", ["vgg19", "vgg16"])
def test_a_preprocessing_that_known_weights_do_not_want_is_refused(
    load: Callable[[str], Manifest], name: str, weights: str, wanted: str, given: str
) -> None:
    lines = f"backbone:\n  name: {name}\n  weights: {weights}\n  preprocessing: "
    assert problems(load, lines + given + "\n") == [
        f":7: backbone.preprocessing: {weights}'s weights want preprocessing {wanted}, not {given}"
        f"; leave preprocessing out"
    ]
    assert load(lines + wanted + "\n").preprocessing == wanted


LACKS = "backbone vgg16 has no conv3_4 (nearest: conv3_3); its layers are conv1_1, conv1_2, conv2_1"


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("settings: {style_layers: [conv1_1, relu3_4]}", ":5: settings.style_layers: "),
        ("settings: {content_layers: {conv3_4: 2}}", ":5: settings.content_layers: "),
        ("grid:\n  style_layers: [[conv1_1], [conv3_4]]", ":6: grid.style_layers[1]: "),
        (
            "pairs: [{content: a.png, style: s.png, settings: {style_layers: r34}}]",
            ":5: pairs[0].settings.style_layers: ",
        ),
        ("pairs: map.csv", "map.csv:2: settings.style_layers: "),
    ],
)
def test_layers_that_a_network_lacks_are_told_with_their_line(
    load: Callable[[str], Manifest], tmp_path: Path, lines: str, place: str
) -> None:
    (tmp_path / "map.csv").write_text("content,style,style_layers\na.png,s.png,conv3_4\n")
    with pytest.raises(ManifestError) as raised:
        load(f"backbone: vgg16\n{lines}\n")
    (told,) = raised.value.problems
    assert place + LACKS in told
    load(f"backbone: vgg19\n{lines}\n")


def test_layers_that_the_grid_replaces_are_not_asked_for(load: Callable[[str], Manifest]) -> None:
    load("backbone: vgg16\nsettings: {style_layers: [conv3_4]}\ngrid: {style_layers: [conv1_1]}\n")
