from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import PRESETS, Settings, json_schema, load_manifest
from pipeline.plan import Plan
from pipeline.plan.jobs import safe_label

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
    ("pairing: {sample: 2}", "2 styles are to be drawn, but only 1"),
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
    ("masks: {style: x}", "masks.content: is needed and missing"),
    ("masks: {contnt: x}", "did you mean 'content'?"),
    ("pairs: nowhere.csv", "nowhere.csv: no such map of pairs"),
    ("pairs: a.png", "a map of pairs is a .csv or a .json file"),
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


def plan_of(manifest, **options):  # type: ignore[no-untyped-def]
    return Plan(manifest, lambda settings: "digest", 1, **options)


def test_an_absurd_grid_is_refused_with_its_count(folder: Path) -> None:
    values = ", ".join(map(str, range(1000)))
    manifest = load(folder, GOOD + f"grid:\n  seed: [{values}]\n  steps: [{values[3:]}]\n")
    with pytest.raises(ManifestError, match="999,000 jobs"):
        plan_of(manifest, max_jobs=10_000)


def test_names_never_collide(folder: Path, picture: Callable[..., Path]) -> None:
    for name in ("c/x.png", "c/X.jpg", "c/x.jpg", "c/a__b.png", "c/a_b.png", "c/CON.png"):
        picture(name)
    manifest = load(folder, GOOD.replace("content: a.png", "content: [c, a.png]"))
    names = [job.name.casefold() for job in plan_of(manifest).jobs()]
    assert len(set(names)) == len(names) == 7
    assert not any(name.split("__")[0] == "con" for name in names)


@pytest.mark.parametrize("text", ["../x", "a:b", "x" * 300, "nul", " . ", "a__b", "ü\n"])
def test_labels_are_safe_everywhere(text: str) -> None:
    label = safe_label(text)
    assert 0 < len(label.encode()) <= 80
    assert not set(label) & set('<>:"/\\|?*\n')
    assert "__" not in label


def test_sampled_styles_are_the_same_every_time(folder: Path, picture: Callable[..., Path]) -> None:
    for i in range(6):
        picture(f"styles/{i}.png", i)
    text = GOOD.replace("style: s.png", "style: styles") + "pairing: {sample: 3, seed: 1}\n"
    first = [job.name for job in plan_of(load(folder, text)).jobs()]
    assert len(first) == 3
    assert first == [job.name for job in plan_of(load(folder, text)).jobs()]


def test_explicit_pairs_are_not_made_twice(folder: Path) -> None:
    assert len(plan_of(load(folder, GOOD + "pairs: [[a.png, s.png], [s.png, s.png]]\n"))) == 2


def test_pairs_have_settings_of_their_own(folder: Path) -> None:
    entries = [
        "{content: a.png, style: s.png, settings: {style_weight: 7, seed: 3}}",
        "{content: a.png, style: s.png, settings: {style_weight: 7.0000001, seed: 3}}",
        "{content: a.png, style: {name: mix, blend: {a.png: 1, s.png: 3}}, settings: {steps: 9}}",
    ]
    text = f"settings: {{steps: 5}}\ngrid: {{tv_weight: [0, 2]}}\npairs: [{', '.join(entries)}]\n"
    plan = plan_of(load(folder, GOOD + text))
    jobs = list(plan.jobs())
    assert len(plan) == len(jobs) == 8
    assert len({job.name for job in jobs}) == len({job.key for job in jobs}) == 8
    assert [job.settings.style_weight for job in jobs] == [3, 3, 7, 7, 7.0000001, 7.0000001, 3, 3]
    assert [job.settings.tv_weight for job in jobs] == [0, 2] * 4
    assert [job.settings.steps for job in jobs] == [5] * 6 + [9] * 2
    assert jobs[2].point == {"style_weight": 7, "seed": 3, "tv_weight": 0}
    assert [round(weight, 2) for _, weight in jobs[6].style.parts] == [0.25, 0.75]


def test_keys_follow_settings_and_bytes(folder: Path, picture: Callable[..., Path]) -> None:
    def key(text: str) -> str:
        return next(iter(plan_of(load(folder, text)).jobs())).key

    before = key(GOOD)
    assert key(GOOD + "settings: {preset: default}\n") == before
    assert key(GOOD + "settings: {seed: 1}\n") != before
    picture("s.png", 9)
    assert key(GOOD) != before


def test_every_setting_has_help_and_presets_are_valid() -> None:
    schema = json_schema()["$defs"]["Settings"]["properties"]
    assert set(schema) == set(Settings.model_fields)
    assert all(entry["description"] for entry in schema.values())
    for name in PRESETS:
        assert Settings.model_validate({"preset": name}).problem() is None
