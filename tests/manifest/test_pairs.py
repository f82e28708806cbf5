"""Maps of pairs, read and written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError, RunFolderError
from pipeline.manifest import Manifest, load_manifest, write_map
from pipeline.plan import Plan

HEAD = "output: run\nbackbone: lite\npairs: "


def load(folder: Path, map_name: str, more: str = "") -> Manifest:
    (folder / "m.yaml").write_text(f"{HEAD}{map_name}\n{more}")
    return load_manifest(folder / "m.yaml")


def names(manifest: Manifest) -> list[str]:
    return [job.name for job in Plan(manifest, lambda s: "", 1).jobs()]


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for number, name in enumerate(("c/cat/1.png", "c/dog/1.png", "s/a.png", "s/b.png")):
        picture(name, number)
    return tmp_path


def test_a_csv_map_names_pairs_and_their_settings(folder: Path) -> None:
    (folder / "map.csv").write_text(
        "content,style,label,style_weight,size\n"
        "c/cat/1.png,s/a.png,cat/1,1e1,\n"
        'c/dog/1.png,"{""name"": ""ab"", ""blend"": {""s/a.png"": 1, ""s/b.png"": 3}}",dog/1,,64\n'
    )
    manifest = load(folder, "map.csv")
    assert [pair.settings for pair in manifest.pairs] == [{"style_weight": 10.0}, {"size": 64}]
    assert [picture.label for picture in manifest.contents] == ["cat/1", "dog/1"]
    assert [weight for _, weight in manifest.styles[1].parts] == [0.25, 0.75]
    assert names(manifest) == ["cat/1__a__style_weight-10", "dog/1__ab__size-64"]


def test_rows_may_name_a_blend_of_the_manifest(folder: Path) -> None:
    (folder / "map.csv").write_text("content,style\nc/cat/1.png,both\nc/dog/1.png,both\n")
    styles = "style: [{name: both, blend: {s/a.png: 1, s/b.png: 1}}]\n"
    manifest = load(folder, "map.csv", styles)
    assert len(set(names(manifest))) == 2
    assert all(len(manifest.styles[pair.style].parts) == 2 for pair in manifest.pairs)


def test_a_json_map_is_the_same(folder: Path) -> None:
    rows = [{"content": "c/cat/1.png", "style": "s/b.png", "settings": {"steps": 5}}]
    (folder / "map.json").write_text(json.dumps(rows))
    manifest = load(folder, "map.json", "settings: {size: 64}\n")
    assert manifest.pairs[0].settings == {"steps": 5}
    assert names(manifest) == ["1.png__b__steps-5"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("content,styl\nx,y\n", "map.csv:1: has no column style"),
        ("content,style\nc/cat/1.png\n", "map.csv:2: has not as many cells"),
        ("content,style\nc/cat/2.png,s/a.png\n", "map.csv:2: content: c/cat/2.png: no such file"),
        ("content,style\nc/cat/1.png,s/a.png\nc/cat/1.png,s/q.png\n", "map.csv:3: style: s/q.png"),
        ("content,style,stepss\nc/cat/1.png,s/a.png,3\n", "did you mean 'steps'?"),
        ("content,style,steps\nc/cat/1.png,s/a.png,0\n", "map.csv:2: settings.steps: 0: must be"),
        ('content,style\nc/cat/1.png,"{x"\n', "map.csv:2: style is not JSON"),
        ('content,style\nc/cat/1.png,"{""name"": ""x""}"\n', "one of blend and regions is needed"),
        (
            "content,style,mask\nc/cat/1.png,s/a.png,no.png\n",
            "map.csv:2: mask: no.png: no such file",
        ),
    ],
)
def test_what_is_wrong_with_a_map_is_said_with_its_row(folder: Path, text: str, said: str) -> None:
    (folder / "map.csv").write_text(text)
    with pytest.raises(ManifestError) as caught:
        load(folder, "map.csv")
    assert said in str(caught.value)


def test_a_map_that_is_not_there_or_no_map(folder: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere.csv: no such map"):
        load(folder, "nowhere.csv")
    (folder / "map.json").write_text('{"content": 1}')
    with pytest.raises(ManifestError, match=r"map.json:1: must be a list"):
        load(folder, "map.json")


def test_what_was_written_is_read_again(folder: Path) -> None:
    blend = {"name": "x, y", "blend": {str(folder / "s/a.png"): 0.5, str(folder / "s/b.png"): 0.5}}
    rows = [
        (folder / "c/cat/1.png", folder / "s/a.png", "cat/1", None, None),
        (folder / "c/dog/1.png", blend, 'dog/"1"', folder / "s/a.png", folder / "s/b.png"),
    ]
    write_map(folder / "map.csv", rows, folder)
    manifest = load(folder, "map.csv")
    assert [p.label for p in manifest.contents] == ["cat/1", 'dog/"1"']
    assert [s.label for s in manifest.styles] == ["a", "x, y"]
    kept = [p.keep and p.keep.name for p in manifest.contents]
    assert kept == [None, "b.png"]
    assert sorted(path.name for path in folder.iterdir()) == ["c", "m.yaml", "map.csv", "s"]


def test_maps_that_are_no_text_or_no_json_are_said(folder: Path) -> None:
    (folder / "map.csv").write_bytes(b"content,style\n\xff,\xfe\n")
    with pytest.raises(ManifestError, match=r"map.csv:2: is not UTF-8, and no encoding of Windows"):
        load(folder, "map.csv")
    (folder / "map.json").write_text('[{"content": "a",\n]')
    with pytest.raises(ManifestError, match=r"map.json:2: not JSON"):
        load(folder, "map.json")
    (folder / "map.json").write_text('[{"content": 3, "style": "s/a.png"}]')
    with pytest.raises(ManifestError, match=r"map.json\[0\]: content: 3: must be text"):
        load(folder, "map.json")


def test_a_named_file_that_is_no_picture_is_said(folder: Path) -> None:
    (folder / "notes.txt").write_text("no picture")
    (folder / "map.csv").write_text("content,style\nnotes.txt,s/a.png\n")
    with pytest.raises(ManifestError, match=r"map.csv:2: content: .*notes.txt: not a picture"):
        load(folder, "map.csv")


def test_a_map_that_cannot_be_written_is_said(folder: Path) -> None:
    with pytest.raises(RunFolderError, match=r"map.csv: cannot be written"):
        write_map(folder / "map.csv", [], folder / "nowhere")
    assert not (folder / "map.csv").exists()


def test_one_picture_under_two_labels_is_two(folder: Path) -> None:
    rows = (
        "c/cat/1.png,s/a.png,cat/1",
        "c/cat/1.png,s/a.png,feline/1",
        "c/cat/1.png,s/a.png,cat/1",
    )
    (folder / "map.csv").write_text("\n".join(("content,style,label", *rows)) + "\n")
    assert names(load(folder, "map.csv")) == ["cat/1__a", "feline/1__a"]
    assert names(load(folder, "map.csv", "content: c\nstyle: s/a.png\n")) == [
        "cat/1.png__a", "dog/1.png__a", "feline/1__a"
    ]  # fmt: skip


def test_one_picture_under_two_masks_is_two(folder: Path, picture: Callable[..., Path]) -> None:
    picture("m.png"), picture("n.png")
    rows = "\n".join(f"c/cat/1.png,s/a.png,{mask}" for mask in ("m.png", "n.png", "m.png"))
    (folder / "map.csv").write_text(f"content,style,mask\n{rows}\n")
    manifest = load(folder, "map.csv")
    assert [p.mask and p.mask.name for p in manifest.contents] == ["m.png", "n.png"]
    assert len(set(names(manifest))) == 2


def test_a_draws_map_names_the_pictures_of_folders_as_they_are_named(folder: Path) -> None:
    (folder / "map.csv").write_text("content,style,label\nc/cat/1.png,s/a.png,cat/1.png\n")
    contents = "content: c\nstyle: s/b.png\n"
    assert names(load(folder, "map.csv")) == ["cat/1.png__a"]
    assert len(load(folder, "map.csv", contents).contents) == 2
