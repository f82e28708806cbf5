"""Names of outputs: each its own, below the run folder, the same whatever else is there."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, Output, Picture, Style, load_manifest
from pipeline.plan import Plan, check_names, own_path
from pipeline.plan.labels import marked, own_label, own_value_label

# File names as Linux has them: any bytes but `/` and 0, so lone surrogates in Python.
characters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
undecodable = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
part = st.one_of(
    st.text(st.sampled_from("aAb_.:? ~-é\u0301"), min_size=1, max_size=6),
    st.text(st.one_of(characters, undecodable), min_size=1, max_size=120),
    st.sampled_from(["con", "CON.png", "nul.tar.gz", "x", "_x_", "end.", "end", "a__b", "a_b"]),
).filter(lambda text: text not in (".", ".."))
path = st.lists(part, min_size=1, max_size=3).map("/".join)
tree = st.lists(path, min_size=1, max_size=8, unique=True)


def manifest(
    contents: Sequence[Picture], styles: Sequence[Style], base: str = "/data", **more: Any
) -> Manifest:
    return Manifest(
        path=Path(base) / "m.yaml",
        text="",
        output=Path(base) / "run",
        contents=tuple(contents),
        styles=tuple(styles),
        pairing="product",
        pairs=(),
        paired=(len(contents), len(styles)),
        backbone="lite",
        weights=None,
        settings={},
        axes=more.pop("axes", {}),
        folders=(),
        form=Output.model_validate({"path": "run", **more.pop("form", {})}),
        **more,
    )


def below(root: str, paths: Sequence[str]) -> list[Picture]:
    """The pictures of a folder."""
    return [Picture(Path(root) / p, p.removesuffix(Path(p).suffix), p) for p in paths]


def style(path: str) -> Style:
    return Style(Path(path).stem, ((Path(path), 1.0),))


WAVE = style("/data/styles/wave.jpg")


def plan_of(manifest: Manifest) -> Plan:
    return Plan(manifest, lambda settings: "digest", 1)


def named(paths: Sequence[str], base: str = "/data") -> dict[str, str]:
    """What each path below the content folder is called."""
    plan = plan_of(manifest(below(f"{base}/photos", paths), [WAVE], base))
    return dict(zip(paths, plan.names(), strict=True))


@given(tree, tree)
def test_names_are_unique_and_stay_when_files_come_or_go(paths: list[str], more: list[str]) -> None:
    before = named(paths)
    assert len(set(before.values())) == len(paths)
    both = sorted({*paths, *more})
    after = named(both)
    assert len(set(after.values())) == len(both)
    assert {path: after[path] for path in paths} == before
    assert named(paths, "/some/where/else") == before


@given(tree)
def test_names_lie_below_the_run_folder_and_every_file_system_takes_them(paths: list[str]) -> None:
    for name in named(paths).values():
        assert not name.startswith("/")
        for piece in name.split("/"):
            assert piece not in ("", ".", "..") and piece == piece.strip(" .")
            assert not set(piece) & (set('<>:"\\|?*\x7f') | {chr(i) for i in range(32)})
            assert len(piece.encode()) <= 200
            assert piece.split(".")[0].lower() not in ("con", "nul", "aux", "prn")


@given(tree)
def test_folders_never_merge(paths: list[str]) -> None:
    folders = {path.rpartition("/")[0] for path in paths}
    made = {named([path])[path].rpartition("/")[0] for path in paths}
    assert len(made) == len(folders)


@given(path)
def test_the_same_file_has_one_name_as_picture_and_as_copy(path: str) -> None:
    (name,) = named([path]).values()
    assert name == f"{own_path(path)}__wave"
    assert "__" not in own_path(path)  # so no copied file is where a picture or a record belongs


@pytest.mark.parametrize(
    ("one", "other"),
    [("_x_", "x"), ("a__b", "a_b"), ("a:b", "a?b"), ("end.", "end"), ("X", "x"), ("é", "e\u0301")],
)
def test_classes_that_were_merged_stay_apart(one: str, other: str) -> None:
    names = named([f"{one}/1.jpg", f"{other}/1.jpg"])
    assert len(set(names.values())) == 2
    plain = "é" if one == "é" else other
    if plain != "a?b":
        assert names[f"{plain}/1.jpg"] == f"{plain}/1.jpg__wave"


def test_a_name_keeps_the_suffix_and_plain_names_stay_as_they_are() -> None:
    assert named(["n01/a.jpg", "n01/a.png", "IMG-20240101.JPG"]) == {
        "n01/a.jpg": "n01/a.jpg__wave",
        "n01/a.png": "n01/a.png__wave",
        "IMG-20240101.JPG": "IMG-20240101.JPG__wave",
    }


@given(part)
def test_a_mark_can_not_be_taken_for_another_names(text: str) -> None:
    label = own_label(text)
    assert label == text or own_label(label) != label
    assert len(label.encode()) <= 80


def test_marks_stand_before_the_suffix_and_reserved_words_are_no_names() -> None:
    assert own_label("caf\udce9.jpg") == "caf~c588637f.jpg"
    assert marked("x" * 90 + ".jpg", "12345678") == "x" * 67 + "~12345678.jpg"
    assert own_label("con.tar.gz").startswith("file-con.tar~")
    assert own_label("").startswith("unnamed~")


def test_two_folders_that_have_one_path_are_told_apart_by_the_manifests_paths() -> None:
    def names(base: str, *roots: str) -> list[str]:
        pictures = [p for root in roots for p in below(f"{base}/{root}", ["1.jpg", "2.jpg"])]
        return list(plan_of(manifest(pictures, [WAVE], base)).names())

    both = names("/data", "train", "val")
    assert both[:2] == ["1.jpg__wave", "2.jpg__wave"] == names("/data", "train")
    assert len(set(both)) == 4 and all(n.startswith(("1~", "2~")) for n in both[2:])
    assert names("/moved/to", "train", "val") == both
    assert names("/data", "train", "val", "test")[:4] == both


def test_one_label_for_two_masks_is_two_names() -> None:
    pictures = [Picture(Path("/data/a.png"), "x", mask=Path(f"/data/{m}.png")) for m in ("m", "n")]
    first, second = plan_of(manifest([*pictures, pictures[0]], [WAVE])).content_labels[:2]
    assert first == "x" and second.startswith("x~")
    assert len(set(plan_of(manifest([*pictures, *pictures], [WAVE])).names())) == 4


def styles_named(paths: Sequence[str], kept: dict[str, str] | None = None) -> dict[str, str]:
    """What styles are called where the run folder knows those of `kept`."""
    known = {name: identity for identity, name in (kept or {}).items()}
    made = manifest(below("/data", ["a.jpg"]), list(map(style, paths)), style_names=known)
    return {identity: name for name, identity in plan_of(made).style_names.items()}


def test_styles_of_one_name_get_their_suffix_or_a_mark() -> None:
    paths = [f"/data/s/{name}" for name in ("wave.jpg", "wave.png", "x/wave.jpg", "y/wave.jpg")]
    names = styles_named(paths)
    assert list(names)[:2] == ["s/wave.jpg", "s/wave.png"]
    assert list(names.values())[:3] == ["wave", "wave-png", "wave-jpg"]
    assert names["s/y/wave.jpg"].startswith("wave~") and len(set(names.values())) == 4


@settings(max_examples=50)
@given(tree, st.lists(tree, min_size=1, max_size=3))
def test_styles_keep_their_names_as_others_come_and_go(
    first: list[str], later: list[list[str]]
) -> None:
    known = styles_named([f"/data/s/{path}" for path in first])
    for paths in later:
        grown = styles_named([f"/data/s/{path}" for path in paths], known)
        assert {identity: grown[identity] for identity in known} == known
        assert len(set(grown.values())) == len(grown)
        known = grown


def test_blends_of_one_name_are_told_apart_by_their_pictures() -> None:
    parts = [tuple((Path(f"/data/{n}.jpg"), w) for n in "ab") for w in (0.5, 0.25)]
    plan = plan_of(manifest(below("/data", ["c.jpg"]), [Style("mix", p) for p in parts]))
    first, second = plan.style_labels
    assert first == "mix" and second.startswith("mix~")


def test_values_keep_their_digits_and_their_labels_as_others_come() -> None:
    def labels(axis: str, *values: Any) -> list[str]:
        made = manifest(below("/data", ["c.jpg"]), [WAVE], axes={axis: values})
        return [name.split("__")[2] for name in plan_of(made).names()]

    assert labels("style_weight", 7.0, 7.0000001) == ["style_weight-7", "style_weight-7.0000001"]
    same = labels("init", "/data/x/first.png", "/data/y/first.png")
    assert same[0] == "init-first" and same[1].startswith("init-first~")
    assert own_value_label("blend", (0.5, 0.25)) == "blend-0.5+0.25"


def test_a_name_of_many_values_is_cut_where_no_file_system_would_take_it() -> None:
    layers = {f"style_layers{i}": ({"conv1_1": 0.1 * i, "conv2_1": 1.0},) for i in range(9)}
    plan = plan_of(manifest(below("/data", ["c.jpg"]), [WAVE]))
    labels = [own_value_label(name, values[0]) for name, values in layers.items()]
    name = plan._naming.join("x/c.jpg", "wave", labels)
    other = plan._naming.join("x/c.jpg", "wave", [*labels, "seed-1"])
    assert name.startswith("x/c.jpg__wave__") and name != other
    assert len(name.split("/")[1].encode()) <= 200


def by_template(text: str, paths: Sequence[str], **more: Any) -> list[str]:
    made = manifest(below("/data/p", paths), [WAVE], form={"name": text}, **more)
    plan = plan_of(made)
    check_names(plan)
    return list(plan.names())


def test_a_template_may_leave_the_suffix_out() -> None:
    assert by_template("{folder}/{stem}__{style}__{grid}", ["n01/a.jpg", "b.jpg"]) == [
        "n01/a__wave", "b__wave"
    ]  # fmt: skip
    assert by_template("{style}/{folder}/{name}", ["n01/a.jpg"]) == ["wave/n01/a.jpg"]
    assert by_template("../{stem}/..", ["a.jpg"]) == ["a"]
    assert by_template("{stem}__{grid}", ["a.jpg"], axes={"seed": (0, 1)}) == [
        "a__seed-0", "a__seed-1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "paths", "axes", "said"),
    [
        ("{stem}__{style}", ["a.jpg", "a.png"], {}, "p/a.jpg with wave and /data/p/a.png with"),
        ("{name}", ["x/a.jpg", "y/a.jpg"], {}, "would both be a.jpg; let"),
        ("{name}", ["a.jpg"], {"seed": (0, 1)}, "at two points of the grid would both be a.jpg"),
    ],
)
def test_a_template_that_gives_one_name_twice_is_refused(
    text: str, paths: list[str], axes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        by_template(text, paths, axes=axes)
    assert said in str(caught.value) and "/data/m.yaml:1: output.name: " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain", "names no field"),
        ("{stem", "is no template"),
        ("{stm}", "{stm} is unknown; known are {folder}, {name}"),
        ("{stem!r}", "is unknown"),
        ("{stem:>9}", "is unknown"),
        ("{stem[0]}", "is unknown"),
        ("{stem}:{style}", "':' cannot stand in a file's name"),
        ("", "must not be empty"),
    ],
)
def test_what_is_wrong_with_a_template_is_said(
    tmp_path: Path, picture: Callable[..., Path], text: str, said: str
) -> None:
    picture("a.png")
    output = f"output: {{path: run, name: {text!r}}}"
    (tmp_path / "m.yaml").write_text(f"{output}\ncontent: a.png\nstyle: a.png\nbackbone: lite\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "m.yaml")
    assert f"m.yaml:1: output.name: {text!r}: " in str(caught.value) and said in str(caught.value)


def test_a_run_that_began_with_the_first_names_goes_on_with_them() -> None:
    pictures = below("/data/p", ["x/a.jpg", "x/a.png", "x/b_.jpg"])
    old = manifest(pictures, [WAVE, style("/data/s/wave.png")], axes={"seed": (0,)}, naming=1)
    plan = plan_of(old)
    assert list(plan.names())[::2] == [
        "x/a-jpg__wave-jpg__seed-0", "x/a-png__wave-jpg__seed-0", "x/b__wave-jpg__seed-0"
    ]  # fmt: skip
    assert plan.style_names == {}
    own = dataclasses.replace(old, form=Output(path="run", name="{name}__{style}"))
    assert next(plan_of(own).names()) == "a.jpg__wave"  # a template is asked for
    masks = [Picture(Path("/data/a.png"), "x", mask=Path(f"/data/{m}.png")) for m in ("m", "n")]
    assert len(set(plan_of(manifest(masks, [WAVE], naming=1)).names())) == 2


def test_labels_of_backbones_say_what_they_are() -> None:
    def labels(folder: str) -> list[str]:
        values: Any = (
            "lite",
            {"name": "vgg19", "weights": "caffe"},
            {"name": "vgg19", "weights": f"{folder}/nets/own.pth", "preprocessing": "caffe"},
            {"name": "vgg19", "weights": f"{folder}/nets/other/own.pth", "preprocessing": "caffe"},
            {"name": "lite", "weights": f"{folder}/nets/my net.pth"},
        )
        given = manifest(below(f"{folder}/p", ["a.png"]), [WAVE], folder, axes={"backbone": values})
        return [name.rpartition("backbone-")[2] for name in plan_of(given).names()]

    lite, caffe, own, other, mine = labels("/data")
    assert (lite, caffe, own, mine) == ("lite", "vgg19-caffe", "vgg19-own-caffe", "lite-my net")
    assert re.fullmatch(r"vgg19-own-caffe~[0-9a-f]{8}", other)
    assert labels("/moved/there") == [lite, caffe, own, other, mine]  # whole folders may move
