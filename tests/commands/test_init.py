"""A manifest of what lies in a folder, and a folder in place of a manifest."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import commands
from pipeline.commands.init import init_manifest, manifest_in
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest

Picture = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, picture: Picture) -> Path:
    for name in ("photos/a.png", "photos/deep/b.png", "styles/s.png", "styles/t.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(name)
    return tmp_path


def test_folders_are_taken_by_their_names(folder: Path, capsys: Capture) -> None:
    assert init_manifest(folder, [], [], "out") == 0
    manifest = load_manifest(folder / "manifest.yaml")
    assert [p.label for p in manifest.contents] == ["a", "deep/b"]
    assert [s.label for s in manifest.styles] == ["s", "t"]
    assert manifest.output == folder / "out"
    assert "2 content pictures x 2 styles = 4 pictures" in capsys.readouterr().out
    assert not list(folder.glob(".manifest*"))
    assert commands.show_plan(folder, commands.Options("cpu"), as_json=True, measured=False) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_pictures_beside_a_folder_of_styles_are_contents(tmp_path: Path, picture: Picture) -> None:
    (tmp_path / "Paintings").mkdir()
    for name in ("x 'y\".png", "z.PNG", "Paintings/s.png"):
        picture(name)
    init_manifest(tmp_path, [], [], "out")
    manifest = load_manifest(tmp_path / "manifest.yaml")
    assert sorted(p.path.name for p in manifest.contents) == ["x 'y\".png", "z.PNG"]


@pytest.mark.parametrize("ending", ["_mask", ".mask", "-mask"])
def test_masks_are_told_by_their_ending(
    ending: str, folder: Path, picture: Picture, capsys: Capture
) -> None:
    picture(f"photos/a{ending}.png")
    assert init_manifest(folder, [], [], "out") == 0
    manifest = load_manifest(folder / "manifest.yaml")
    masks = [one.mask and one.mask.name for one in manifest.contents]
    assert masks.count(f"a{ending}.png") == 1 and len(masks) == 2
    said = "".join(capsys.readouterr())
    assert ".manifest.yaml." not in said and str(folder / "manifest.yaml") in said


def test_masks_beside_pictures_are_named_as_such(folder: Path, picture: Picture) -> None:
    for name in ("photos/a_mask.png", "photos/a_keep.png"):
        picture(name)
    init_manifest(folder, [], [], "out")
    manifest = load_manifest(folder / "manifest.yaml")
    assert [p.label for p in manifest.contents] == ["a", "deep/b"]
    kept = [(p.mask and p.mask.name, p.keep and p.keep.name) for p in manifest.contents]
    assert kept == [("a_mask.png", "a_keep.png"), (None, None)]


def test_what_is_said_is_taken(folder: Path) -> None:
    init_manifest(folder, ["photos/*.png"], ["styles/s.png"], "out")
    manifest = load_manifest(folder / "manifest.yaml")
    assert (len(manifest.contents), len(manifest.styles)) == (1, 1)


def test_styles_are_asked_for_where_somebody_can_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "styles").rename(folder / "others")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "others/t.png")
    init_manifest(folder, [], [], "out")
    assert [s.label for s in load_manifest(folder / "manifest.yaml").styles] == ["t"]

    def end(question: str) -> str:
        raise EOFError

    (folder / "manifest.yaml").unlink()
    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(ManifestError, match=r"which pictures are style\? .* --style FILE"):
        init_manifest(folder, [], [], "out")


def test_what_cannot_be_made_is_told_and_nothing_is_written(
    folder: Path, tmp_path: Path, picture: Picture
) -> None:
    with pytest.raises(ManifestError, match="no such folder"):
        init_manifest(folder / "nowhere", [], [], "out")
    (folder / "empty").mkdir()
    with pytest.raises(ManifestError, match="no pictures there; put content and style pictures"):
        init_manifest(folder / "empty", [], [], "out")
    with pytest.raises(ManifestError, match=r"empty/..: style\[0\]: nowhere.png: no such"):
        init_manifest(folder / "empty/..", [], ["nowhere.png"], "out")
    with pytest.raises(ManifestError, match="no such folder"):
        init_manifest(Path("a" * 300), [], [], "out")
    with pytest.raises(ManifestError, match=r": style\[0\]: nowhere.png: no such"):
        init_manifest(folder, [], ["nowhere.png"], "out")
    only = folder / "only"
    (only / "styles").mkdir(parents=True)
    picture("only/styles/s.png")
    with pytest.raises(ManifestError, match="which pictures are content"):
        init_manifest(only, [], [], "out")
    assert not list(folder.rglob("*.yaml")) and not list(folder.rglob(".manifest*"))


def test_a_manifest_that_is_there_stays(folder: Path) -> None:
    (folder / "manifest.yaml").write_text("mine")
    with pytest.raises(ManifestError, match="is there already"):
        init_manifest(folder, [], [], "out")
    assert (folder / "manifest.yaml").read_text() == "mine"


def test_a_folder_stands_for_the_manifest_in_it(folder: Path) -> None:
    with pytest.raises(ManifestError, match=r"without a manifest.* nst init .* writes one"):
        manifest_in(folder)
    (folder / "a.yml").write_text("")
    assert manifest_in(folder) == folder / "a.yml"
    (folder / "b.yaml").write_text("")
    with pytest.raises(ManifestError, match=r"several manifests \(a.yml, b.yaml\)"):
        manifest_in(folder)
    (folder / "manifest.yaml").write_text("")
    assert manifest_in(folder) == folder / "manifest.yaml"
    (folder / "plan.json").write_text("{}")  # of somebody else
    assert manifest_in(folder) == folder / "manifest.yaml"
    header = {"backbone": {"name": "lite"}, "manifest": "m.yaml", "folder": "/elsewhere"}
    (folder / "plan.json").write_text(json.dumps(header))
    with pytest.raises(ManifestError, match=r"is a run folder; give .* made it, /elsewhere/m.yaml"):
        manifest_in(folder)
    (folder / "plan.json").write_text(json.dumps({**header, "folder": str(folder)}))
    assert manifest_in(folder) == folder / "manifest.yaml"  # `output: .`
    with pytest.raises(ManifestError, match=r"no such manifest|cannot be read"):
        load_manifest(manifest_in(Path("a" * 300)))
    assert manifest_in(folder / "nowhere.yaml") == folder / "nowhere.yaml"


def test_a_style_among_the_contents_is_no_content(tmp_path: Path, picture: Picture) -> None:
    for name in ("p.JPG", "q.png", "wave.png"):
        picture(name)
    init_manifest(tmp_path, [], ["wave.png"], "out")
    manifest = load_manifest(tmp_path / "manifest.yaml")
    assert [p.path.name for p in manifest.contents] == ["p.JPG", "q.png"]


def test_names_that_only_begin_like_a_style_are_none(tmp_path: Path, picture: Picture) -> None:
    for name in ("arthur/a.png", "photos/b.png"):
        (tmp_path / name).parent.mkdir()
        picture(name)
    with pytest.raises(ManifestError, match="which pictures are style"):
        init_manifest(tmp_path, [], [], "out")


def test_paths_from_where_one_stands_are_taken_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(folder.parent)
    init_manifest(folder, [f"{folder.name}/photos"], [f"{folder.name}/styles/s.png"], "my out")
    manifest = load_manifest(folder / "manifest.yaml")
    assert (len(manifest.contents), len(manifest.styles)) == (2, 1)
    assert "content: photos\nstyle: styles/s.png\n" in capsys.readouterr().out


def test_what_is_said_can_be_pasted(tmp_path: Path, picture: Picture, capsys: Capture) -> None:
    folder = tmp_path / "my 'pictures'"
    for name in ("styles/s.png", "photos/b.png"):
        (folder / name).parent.mkdir(parents=True)
        picture(f"my 'pictures'/{name}")
    init_manifest(folder, [], [], "out")
    words = shlex.split(capsys.readouterr().out.splitlines()[-1].split("nst batch ")[1])
    assert words[0] == str(folder)
