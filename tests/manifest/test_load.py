import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest, parse_value

GOOD = "output: run\ncontent: a.png\nstyle: s.png\nbackbone: lite\n"

BROKEN = [
    ("contnt: x", ":5: contnt: unknown key; did you mean 'content'?"),
    ("settings: {stepss: 1}", ":5: settings.stepss: unknown key; did you mean 'steps'?"),
    ("settings: {loss: papr}", "did you mean 'paper'?"),
    ("settings: {preset: defualt}", "did you mean 'default'?"),
    ("settings: {steps: 0}", ":5: settings.steps: 0: must be at least 1"),
    ("settings: {steps: 1.5}", ":5: settings.steps: 1.5: must be a whole number"),
    ("settings: {normalized: maybe}", "'maybe': must be true or false"),
    ("settings: {background: blurple}", "'blurple': must be a CSS color name"),
    ("settings: {style_weight: x}", "'x': must be a number"),
    ("settings: [1]", ":5: settings: [1]: must be a mapping"),
    ("pairing: sampel", ":5: pairing: 'sampel' is unknown; known are product, zip"),
    ("pairing: {sampl: 2}", ":5: pairing.sample: is needed and missing"),
    ("pairs: [[a.png]]", ":5: pairs[0]: ['a.png']: must be [content, style]"),
    ("settings: {style_layers: [conv9_1]}", "conv9_1"),
    ("settings: {size: 640x480}", "fit: exact is needed"),
    ("grid: {seed: 3}", ":5: grid.seed: 3: a list is needed"),
    ("grid: {style_weight: [1000, 1e3]}", "stands twice"),
    ("grid: {sed: [1]}", "did you mean 'seed'?"),
    ("grid: {seed: [1, -1]}", ":5: grid.seed[1]: -1: must be at least 0"),
    ("settings: {seed: \x01}", "not YAML: "),
    ("settings: &a {seed: *a}", ":5: an alias that contains itself"),
    ("output: again", "key 'output' stands twice, first in line 1"),
    ("pairs: [[a.png, nowhere.png]]", ":5: pairs[0][1]: nowhere.png: no such file"),
    ("pairs: [{content: a.png, style: no.png}]", ":5: pairs[0].style: no.png: no such file"),
    ("pairs: [{content: a.png, styl: s.png}]", "did you mean 'style'?"),
    ("pairs: [{content: a.png, style: s.png, settings: {sed: 1}}]", "did you mean 'seed'?"),
    ("pairs: [{content: a.png, style: s.png, settings: {seed: -1}}]", "must be at least 0"),
    (
        "grid: {seed: [1]}\npairs: [{content: a.png, style: s.png, settings: {seed: 2}}]",
        "pairs[0].settings.seed: seed is swept in `grid`",
    ),
    ("pairing: {sample: 2}", "2 styles are to be drawn, but only 1 is there"),
    ("settings: !!python/object/apply:os.system [ls]", "tags such as"),
    ("settings: " + "[" * 25 + "]" * 25, "nested more than 20 levels"),
    ("settings: {steps: 1", "not YAML"),
    ("settings: {init: nowhere.png}", "style_noise nor a picture"),
    ("settings: {steps: []}", "a list of steps needs at least one number"),
    ("settings: {steps: [3, 0]}", "must be at least 1"),
    ("settings: {steps: 1.5}", "must be a whole number, or a list of them"),
    ("settings: {depth: 12}", ":5: settings.depth: 12"),
    ("settings: {depth: 16, format: jpg}", "png or tiff is needed"),
    ("grid: {depth: [8, 16], format: [png, webp]}", "depth 16 with format webp does not go"),
    ("settings: {fit: stretch}", "size: WxH is needed"),
    ("settings: {blend: [0, 0]}", "weights must sum to more than 0"),
    ("settings: {blend: [1, -1]}", "weights must be numbers of at least 0"),
    ("grid: {blend: [[1, 2]]}", ":5: grid.blend[0]: 2 weights, but style s has 1 picture"),
    ("masks: {content: '{stem}_mask.png'}", ":5: masks: no such mask:"),
    ("masks: {style: x}", "content is needed, or keep without style"),
    ("masks: {keep: '{stem}_keep.png'}", ":5: masks: no such mask:"),
    ("masks: {contnt: x}", "did you mean 'content'?"),
    ("pairs: nowhere.csv", "nowhere.csv: no such map of pairs"),
    ("pairs: a.png", "a map of pairs is a .csv or a .json file"),
    ("settings: {style_layers: [conv1_1, conv1_1]}", "a layer is named twice"),
    ("settings: {size: 640x4}", "each side must be between 16 and 32768 px"),
    ("settings: {size: true}", "must be a number of pixels, WxH, or original"),
    ("settings: {size: wide}", "must be a number of pixels, WxH, or original"),
    ("settings: {size: 9.5}", "must be a whole number between 16 and 32768 px"),
    ("settings: {steps: true}", "must be a whole number, or a list of them"),
    ("settings: {steps: 2000000}", "must be at most 1,000,000"),
    ("settings: {blend: often}", "must be a list of weights"),
    ("settings: {blend: [a]}", "weights must be numbers of at least 0"),
    ("grid: {steps: []}", ":5: grid.steps: []: must have 1 or more entries"),
    ("settings: {depth: 16, profile: content}", "depth 16 with profile content does not go"),
    ("settings: {depth: 16, format: tiff, exif: true}", "exif with depth 16 and format tiff"),
    ("grid: {init: [content, nowhere.png]}", ":5: grid.init[1]: neither content, content_matc"),
    ("settings: {blend: [1, 2]}", ":5: settings.blend: 2 weights, but style s has 1 picture"),
    (
        "pairs: [{content: a.png, style: s.png, settings: {blend: [1, 2]}}]",
        ":5: pairs[0]: 2 weights, but style s has 1 picture",
    ),
    (
        "pairs: [{content: a.png, style: s.png, settings: {init: nowhere.png}}]",
        ":5: pairs[0].settings.init: neither content, co",
    ),
    (
        "pairs: [{content: a.png, style: s.png, settings: {depth: 16, format: jpg}}]",
        ":5: pairs[0].settings: depth 16 with format jpg does not go",
    ),
    ("pairs: [{content: a.png, style: s.png, keep: no.png}]", ":5: pairs[0].keep: no.png: no such"),
    ("pairs: [{content: a.png, style: s.png, mask: no.png}]", ":5: pairs[0].mask: no.png: no such"),
    ("pairs: [{content: '*.gif', style: s.png}]", "pairs[0].content: *.gif: no picture there"),
    ("backbone: {name: lite, weights: gone.pth}", "key 'backbone' stands twice"),
    ("settings: &a {size: 64}\ngrid: *a", ":5: grid.size: 64: a list is needed"),
    ("pairs: [&a [*a]]", "an alias that contains itself"),
    ("? [1]\n: 2", "not YAML"),
]
STYLES = [
    ("[{name: x}]", "style[0]: {'name': 'x'}: one of blend and regions is needed"),
    ("[{name: x, blend: {s.png: 1}, regions: {white: s.png}}]", "one of blend and regions"),
    ("[{name: x, regions: {whit: s.png}}]", "style[0].regions.whit: must be a CSS color name"),
    ("[{name: x, regions: {white: s.png, '#fff': s.png}}]", "#ffffff stands twice"),
    ("[{name: x, regions: {white: no.png}}]", "style[0].regions.white: no.png: no such file"),
    ("[{name: x, regions: {white: s.png}}]", "style x has regions, but there is no `masks:"),
]
OUTPUTS = [
    ("{path: run, format: tar}", "output.format: 'tar' is unknown; known are files, webdataset"),
    ("{path: run, shard_size: 0}", "output.shard_size: 0: must be at least 1"),
    ("{pth: run}", "output.path: is needed and missing"),
    ("{path: run, other: copy}", "did you mean 'others'?"),
]


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("a.png", 1)
    picture("s.png", 2)
    return tmp_path


def load(folder: Path, text: str):  # type: ignore[no-untyped-def]
    (folder / "m.yaml").write_text(text)
    return load_manifest(folder / "m.yaml")


@pytest.mark.parametrize(("line", "message"), BROKEN)
def test_a_broken_manifest_says_what_and_where(folder: Path, line: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(folder, GOOD + line + "\n")
    assert message in str(caught.value)


@pytest.mark.parametrize(("style", "message"), STYLES)
def test_a_broken_style_says_what_and_where(folder: Path, style: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(folder, GOOD.replace("style: s.png", f"style: {style}"))
    assert message in str(caught.value)


@pytest.mark.parametrize(("output", "message"), OUTPUTS)
def test_a_broken_output_says_what_and_where(folder: Path, output: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(folder, GOOD.replace("output: run", f"output: {output}"))
    assert message in str(caught.value)


def test_masks_of_styles_lie_beside_them(folder: Path, picture: Callable[..., Path]) -> None:
    for name in ("c/a.png", "c/a.m.png", "t/s.png", "t/s.m.png"):
        picture(name)
    manifest = load(
        folder,
        "output: run\ncontent: c\nstyle: t\n"
        "masks: {content: '{stem}.m.png', style: '{stem}.m{suffix}'}\n",
    )
    assert [(c.path.name, c.mask and c.mask.name) for c in manifest.contents] == [
        ("a.png", "a.m.png")
    ]
    assert [style.masks[0].name for style in manifest.styles if style.masks[0]] == ["s.m.png"]


def test_what_to_keep_lies_beside_contents(folder: Path, picture: Callable[..., Path]) -> None:
    for name in ("c/a.png", "c/a_keep.png", "t/s.png"):
        picture(name)
    text = "output: run\ncontent: c\nstyle: t\nmasks: {keep: '{stem}_keep.png'}\n"
    (found,) = load(folder, text).contents
    assert (found.path.name, found.keep and found.keep.name, found.mask) == (
        "a.png", "a_keep.png", None
    )  # fmt: skip


def test_a_word_where_a_mapping_may_stand_is_explained_once(folder: Path) -> None:
    for line in ("pairing: sampel", "grid: {seed: 3}", "settings: [1]"):
        with pytest.raises(ManifestError) as caught:
            load(folder, GOOD + line + "\n")
        assert len(caught.value.problems) == 1, caught.value.problems
    with pytest.raises(ManifestError) as caught:
        load(folder, GOOD.replace("style: s.png", "style: [{name: x, blend: {s.png: 0}}]"))
    assert caught.value.problems == [
        f"{folder}/m.yaml:3: style[0].blend['s.png']: 0: must be more than 0"
    ]


def test_all_problems_come_at_once(folder: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        load(folder, GOOD + "settings: {stepss: 1}\ngrid: {sed: [1]}\n")
    assert len(caught.value.problems) == 2


def test_an_alias_bomb_is_refused(folder: Path) -> None:
    bomb = "x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    bomb += "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]\n" for i in range(1, 10))
    with pytest.raises(ManifestError, match="aliases expand to"):
        load(folder, GOOD + bomb)


def test_numbers_in_all_spellings_are_one(folder: Path) -> None:
    for text in ("1e3", "1_000", "1000", "1000.0"):
        manifest = load(folder, GOOD + f"grid: {{style_weight: [{text}]}}\n")
        assert manifest.axes["style_weight"] == (1000.0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: a mapping with output, content and style is needed, this is empty"),
        ("- a\n", "this is a list"),
        ("output: run\n", ":1: nothing to do: content and style, or pairs, are needed"),
        ("output: run\ncontent: a.png\n", ":2: content: there is content but no style; add it"),
        ("output: run\nstyle: s.png\n", ":2: style: there is style but no content; add it"),
        (
            "output: run\ncontent: [a.png, s.png]\nstyle: s.png\npairing: zip\n",
            ":4: pairing: zip needs as many styles as contents, but 2 and 1 are there",
        ),
        (
            "output: run\ncontent: a.png\nstyle: s.png\nbackbone: {name: lite, weights: no.pth}\n",
            "no.pth: no such weight file",
        ),
        ("output: run\ncontent: nowhere/*.png\nstyle: s.png\n", "no picture there"),
        ("output: run\ncontent: a.pgn\nstyle: s.png\n", "no such file or folder; did you mean"),
    ],
)
def test_what_a_whole_manifest_lacks_is_said(folder: Path, text: str, message: str) -> None:
    (folder / "m.yaml").write_text(text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(folder / "m.yaml")
    assert message in str(caught.value)


def test_a_manifest_that_cannot_be_read_is_said(folder: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere.yaml: no such manifest; check the path"):
        load_manifest(str(folder / "nowhere.yaml"))
    (folder / "m.yaml").write_bytes(b"output: \xff\n")
    with pytest.raises(ManifestError, match="cannot be read as UTF-8 text"):
        load_manifest(folder / "m.yaml")
    with pytest.raises(ManifestError, match="cannot be read"):
        load_manifest(folder)


def test_a_value_that_is_no_yaml_is_said() -> None:
    with pytest.raises(ManifestError, match="not a value as in YAML"):
        parse_value("[1")


def test_values_of_other_settings_are_checked_beside_a_wrong_one(folder: Path) -> None:
    text = "settings: {preset: nowhere}\ngrid: {size: [64, 640x480]}\n"
    with pytest.raises(ManifestError) as caught:
        load(folder, GOOD + text)
    assert [p for p in caught.value.problems if "fit: exact" in p] == [
        f"{folder}/m.yaml:6: grid: size 640x480 with fit long does not go; fit: exact is needed"
    ]


def test_a_backbone_has_the_weight_file_that_is_named(folder: Path) -> None:
    (folder / "own.safetensors").write_bytes(b"")
    own = GOOD.replace("backbone: lite", "backbone: {name: lite, weights: own.safetensors}")
    assert load(folder, own).weights == folder / "own.safetensors"


def test_blends_of_settings_have_the_styles_number_of_weights(folder: Path) -> None:
    blend = "style: [{name: mix, blend: {a.png: 1, s.png: 1}}]"
    good = GOOD.replace("style: s.png", blend)
    assert load(folder, good + "settings: {blend: [1, 2]}\n").settings["blend"] == [1, 2]
    with pytest.raises(ManifestError, match=r"settings.blend: 3 weights, but style mix has 2 pic"):
        load(folder, good + "settings: {blend: [1, 2, 3]}\n")


def test_weights_are_shared_out(folder: Path) -> None:
    text = GOOD.replace("style: s.png", "style: [{name: mix, blend: {a.png: 1, s.png: 1}}]")
    (style,) = load(folder, text).styles
    assert style.weighted(None) is style
    assert [share for _, share in style.weighted((1, 3)).parts] == [0.25, 0.75]


@pytest.mark.parametrize("key", ["functions", "literal", "constrained_size", "Blend"])
def test_any_unknown_key_is_said_to_be_one(folder: Path, key: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(folder, GOOD + f"{key}: 1\n")
    (problem,) = caught.value.problems
    assert problem.startswith(f"{folder}/m.yaml:5: {key}: unknown key; ")


@pytest.mark.parametrize("preset", ["[1]", "{a: 1}", "3"])
@pytest.mark.parametrize("place", ["settings: {preset: %s}", "grid: {preset: [%s]}"])
def test_a_preset_of_any_kind_that_is_none_is_said(folder: Path, place: str, preset: str) -> None:
    with pytest.raises(ManifestError, match="is not a preset; known are default, fast"):
        load(folder, GOOD + place % preset + "\n")


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "x" * 300])
@pytest.mark.parametrize(
    "text",
    [
        "output: run\ncontent: {}\nstyle: s.png\n",
        "output: run\ncontent: a.png\nstyle: [{{name: x, blend: {{{}: 1}}}}]\n",
        "output: run\ncontent: a.png\nstyle: s.png\nmasks: {{content: {}}}\n",
        "output: run\ncontent: a.png\nstyle: s.png\nsettings: {{init: {}}}\n",
        "output: run\ncontent: a.png\nstyle: s.png\nbackbone: {{name: lite, weights: {}}}\n",
        "output: run\npairs: [{{content: a.png, style: s.png, mask: {}}}]\n",
        "output: run\npairs: {}.csv\n",
    ],
)
def test_a_path_that_no_file_can_have_is_said(folder: Path, text: str, path: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(folder, text.format(path))
    assert path in str(caught.value)


@pytest.mark.parametrize("pattern", [".", "'**/*.png'"])
@pytest.mark.parametrize("function", ["scandir", "stat"])
def test_folders_that_may_not_be_looked_at_are_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, function: str
) -> None:
    (folder / "shut").mkdir()
    allowed = getattr(os, function)

    def look(path: Path, *args: Any, **more: Any) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path, *args, **more)

    monkeypatch.setattr(os, function, look)
    with pytest.raises(ManifestError, match=r":2: content\[0\]: .*shut: cannot be read \(Perm"):
        load(folder, f"output: run\ncontent: {pattern}\nstyle: a.png\n")


def test_what_is_wrong_with_one_entry_hides_nothing_of_the_others(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("a.png")
    path = tmp_path / "m.yaml"
    path.write_text(
        "output: run\ncontent: [3, gone.png]\nstyle: [{name: x}, lost.png]\nbackbone: lite\n"
        "pairs:\n  - [a.png]\n  - {content: a.png, stile: b}\n  - [a.png, away.png]\n"
        "  - {content: off.png, style: a.png, settings: {sise: 3, steps: 0}}\n"
    )
    with pytest.raises(ManifestError) as told:
        load_manifest(path)
    said = [problem.removeprefix(f"{path}:").split(";")[0] for problem in told.value.problems]
    assert sorted(said) == [
        "2: content[0]: 3: must be text",
        "2: content[1]: gone.png: no such file or folder",
        "3: style[0]: {'name': 'x'}: one of blend and regions is needed, with at least one picture",
        "3: style[1]: lost.png: no such file or folder",
        "6: pairs[0]: ['a.png']: must be [content, style]",
        "7: pairs[1].stile: unknown key",
        "7: pairs[1].style: is needed and missing",
        "8: pairs[2][1]: away.png: no such file or folder",
        "9: pairs[3].content: off.png: no such file or folder",
        "9: pairs[3].settings.sise: unknown key",
        "9: pairs[3].settings.steps: 0: must be at least 1",
    ]


def test_numpys_numbers_in_a_dict_are_numbers(folder: Path, picture: Callable[..., Path]) -> None:
    np = pytest.importorskip("numpy")
    picture("a.png"), picture("s.png")
    manifest = load_manifest(
        {
            "output": str(folder / "run"), "content": [folder / "a.png"],
            "style": np.array([str(folder / "s.png")]),
            "settings": {"size": np.int64(64), "carry": np.bool_(True)},
            "grid": {"style_weight": np.geomspace(1, 100, 3), "seed": list(np.arange(2))},
        }
    )  # fmt: skip
    assert manifest.settings == {"size": 64, "carry": True}
    assert manifest.axes["style_weight"] == pytest.approx((1, 10, 100))
    assert manifest.axes["seed"] == (0, 1)
