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


def test_every_backbone_of_the_grid_is_checked_at_once(
    load: Callable[[str], Manifest], tmp_path: Path
) -> None:
    lines = """\
settings: {style_layers: [conv3_4]}
grid:
  backbone:
    - lite
    - vgg91
    - auto
    - {name: vgg19, weights: torchvison}
    - {weights: caffe, preprocessing: imagenet}
    - {name: lite, wieghts: own.pth}
    - {name: vgg19, preprocessing: bgr}
    - {name: lite}
    - 19
    - null
    - vgg16
"""
    found = problems(load, lines)
    assert [told for told in found if not told.startswith(":4: ")] == [
        ":8: grid.backbone[1]: 'vgg91': no such backbone; did you mean 'vgg19'?",
        ":9: grid.backbone[2]: 'auto': auto stands for one of vgg19, vgg16, lite; name it",
        f":10: grid.backbone[3].weights: {tmp_path / 'torchvison'}: no such weight file; did "
        "you mean torchvision?",
        ":11: grid.backbone[4].preprocessing: caffe's weights want preprocessing caffe, not "
        "imagenet; leave preprocessing out",
        ":12: grid.backbone[5]: {'name': 'lite', 'wieghts': 'own.pth'}: unknown key 'wieghts'; did "
        "you mean 'weights'?",
        ":13: grid.backbone[6]: {'name': 'vgg19', 'preprocessing': 'bgr'}: no such "
        "preprocessing, 'bgr'; known are caffe, imagenet",
        ":14: grid.backbone[7]: {'name': 'lite'} stands twice, also at [0]",
        ":15: grid.backbone[8]: 19: must be a name, or {name, weights, preprocessing}",
        ":16: grid.backbone[9]: name a network",
    ]
    assert [told for told in found if told.startswith(":4: ")] == [
        f":4: settings.style_layers: {LACKS_ALL}"
    ]


def test_the_files_of_the_grid_and_of_pairs_are_looked_for(
    load: Callable[[str], Manifest], tmp_path: Path
) -> None:
    lines = """\
pairs:
  - {content: a.png, style: s.png, settings: {backbone: {weights: own.pth}}}
  - {content: a.png, style: s.png, settings: {backbone: {weights: caffe, preprocessing: imagenet}}}
  - {content: a.png, style: s.png, settings: {backbone: vgg16, style_layers: [conv3_4]}}
  - {content: a.png, style: s.png, settings: {backbone: vgg16}}
settings: {content_layers: [conv4_4]}
"""
    assert problems(load, lines) == [
        f":5: pairs[0].settings.backbone.weights: {tmp_path / 'own.pth'}: no such weight file"
        "; check the path",
        ":6: pairs[1].settings.backbone.preprocessing: caffe's weights want preprocessing caffe, "
        "not imagenet; leave preprocessing out",
        f":7: pairs[2].settings.backbone: {LACKS_4}",
        f":7: pairs[2].settings.style_layers: {LACKS_ALL}",
        f":8: pairs[3].settings.backbone: {LACKS_4}",
    ]
    (told,) = problems(load, "grid:\n  backbone: [lite, {name: lite, weights: gone.pth}]\n")
    assert told.startswith(f":5: grid.backbone[1].weights: {tmp_path / 'gone.pth'}: no such weight")
    (told,) = problems(load, "grid: {backbone: [lite, vgg16]}\nsettings: {style_layers: conv3_4}\n")
    assert told == f":5: settings.style_layers: {LACKS_ALL}"
    (told,) = problems(load, "grid: {backbone: [vgg16], style_layers: [conv1_1, conv3_4]}\n")
    assert told == f":4: grid.style_layers[1]: {LACKS_ALL}"
    (told,) = problems(
        load,
        "grid: {backbone: [lite]}\n"
        "pairs: [{content: a.png, style: s.png, settings: {backbone: vgg19}}]\n",
    )
    assert (
        told == ":5: pairs[0].settings.backbone: backbone is swept in `grid`; leave it out of one"
    )


_OF_VGG16 = (
    "its layers are conv1_1, conv1_2, conv2_1, conv2_2, conv3_1, conv3_2, conv3_3, conv4_1, "
    "conv4_2, conv4_3, conv5_1, conv5_2, conv5_3"
)
LACKS_ALL = f"backbone vgg16 has no conv3_4 (nearest: conv3_3); {_OF_VGG16}"
LACKS_4 = f"backbone vgg16 has no conv4_4 (nearest: conv4_3); {_OF_VGG16}"


def test_it_may_stand_among_the_settings_but_not_twice(
    load: Callable[[str], Manifest], tmp_path: Path
) -> None:
    (tmp_path / "own.pth").touch()
    found = load("settings: {backbone: {name: vgg16, weights: own.pth}, size: 64}\n")
    assert (found.backbone, found.weights) == ("vgg16", tmp_path / "own.pth")
    assert found.settings == {"size": 64} and list(found.backbones) == [""]
    assert problems(load, "backbone: lite\nsettings: {backbone: vgg19}\n") == [
        ":5: settings.backbone: stands beside `settings` as well; leave one out"
    ]
    (told,) = problems(load, "settings: {backbone: {name: lite, weights: caffe}}\n")
    assert told.startswith(":4: settings.backbone.weights: lite has no weights of caffe")


def test_several_networks_are_an_axis(load: Callable[[str], Manifest]) -> None:
    assert problems(load, "backbone: [lite, vgg19]\n") == [
        ":4: backbone: ['lite', 'vgg19']: is one network; for several write "
        "`grid: {backbone: [...]}`"
    ]
