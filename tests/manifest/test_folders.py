"""The one walk through folders: what is found below them, and what is passed over."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, Passed, load_manifest, walk

Make = Callable[..., Path]


@pytest.fixture
def load(tmp_path: Path, picture: Make) -> Callable[..., Manifest]:
    """Loads a manifest of these contents; the style lies apart."""

    def made(content: str, folder: str = ".", output: str = "run") -> Manifest:
        picture("styles/s.png")
        where = tmp_path / folder
        where.mkdir(parents=True, exist_ok=True)
        style = tmp_path / "styles"
        (where / "m.yaml").write_text(
            f"output: {output}\ncontent: {content}\nstyle: {style}\nbackbone: lite\n"
        )
        return load_manifest(where / "m.yaml")

    return made


def files(manifest: Manifest) -> list[str]:
    return [picture.file for picture in manifest.contents]


def test_what_systems_and_tools_leave_behind_is_no_content(
    load: Callable[..., Manifest], picture: Make
) -> None:
    for name in (
        "c/a.png", "c/._a.png", "c/__MACOSX/a.png", "c/.Trashes/a.png", "c/@eaDir/a.png",
        "c/.ipynb_checkpoints/a-checkpoint.png", "c/x/b.png",
    ):  # fmt: skip
        picture(name)
    for pattern in ("c", "c/**", "c/**/*.png"):
        manifest = load(pattern)
        assert files(manifest) == ["a.png", "x/b.png"]
        assert manifest.passed == "5 hidden files and folders"


def test_what_is_hidden_is_taken_where_it_is_named(
    load: Callable[..., Manifest], picture: Make, tmp_path: Path
) -> None:
    picture("c/.kept/a.png"), picture("c/x/.kept/b.png"), picture("c/x/.c.png")
    assert files(load("c/.kept")) == ["a.png"]
    assert files(load("c/*/.kept/*.png")) == ["x/.kept/b.png"]
    assert files(load("c/*/.*.png")) == ["x/.c.png"]
    assert files(load("c/x/.c.png")) == [".c.png"]


def test_files_of_other_formats_are_counted_by_their_suffix(
    load: Callable[..., Manifest], picture: Make, tmp_path: Path
) -> None:
    picture("c/a.png")
    for number, name in enumerate(("1.txt", "2.TXT", "3.csv", "README")):
        (tmp_path / "c" / name).write_text(str(number))
    said = "4 files of no format that is read (.txt 2, .csv 1, no suffix 1)"
    assert load("c").passed == said
    assert load("c/*.png").passed == ""  # what a pattern does not name is not passed over
    with pytest.raises(ManifestError, match=r"c/\*.txt: no picture there \(passed over: 1 file "):
        load("c/*.txt")


@pytest.mark.parametrize("content", [".", "'**/*.png'", "'*/images/*.png'"])
def test_a_run_does_not_feed_on_its_own_pictures(
    load: Callable[..., Manifest], picture: Make, content: str
) -> None:
    picture("c/x/images/a.png")
    before = files(load(content, "c"))
    picture("c/run/images/x.png")  # as a run that is begun leaves it
    picture("c/run/images/images/x.png")
    assert [Path(name).name for name in before] == ["a.png"]
    assert files(load(content, "c")) == before


def test_other_run_folders_are_passed_over_and_may_be_named(
    load: Callable[..., Manifest], picture: Make, tmp_path: Path
) -> None:
    picture("c/a.png"), picture("c/old/images/x.png"), picture("c/older/images/x.png")
    (tmp_path / "c/old/.nst").mkdir()
    for name in ("plan.json", "manifest.yaml"):
        (tmp_path / "c/older" / name).write_text("")
    manifest = load("c")
    assert files(manifest) == ["a.png"] and manifest.passed == "2 run folders"
    assert files(load("c/old/images")) == ["x.png"]


def test_pictures_of_the_run_itself_are_refused_as_content(
    load: Callable[..., Manifest], picture: Make
) -> None:
    picture("run/images/x.png")
    for content in ("run/images", "'run/images/*.png'"):
        with pytest.raises(ManifestError, match=r":2: content\[0\]: .*lies where the run's own"):
            load(content)


def test_a_manifest_may_lie_in_its_own_run_folder(
    load: Callable[..., Manifest], picture: Make
) -> None:
    picture("c/a.png"), picture("images/x.png")
    assert "a.png" in files(load("c", output="."))
    assert "images/x.png" not in files(load(".", output="."))


def test_a_class_folder_may_be_a_link(
    load: Callable[..., Manifest], picture: Make, tmp_path: Path
) -> None:
    picture("c/cat/1.png"), picture("elsewhere/2.png")
    (tmp_path / "c/dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "c/dog.png").symlink_to(tmp_path / "elsewhere/2.png")
    for content in ("c", "'c/**/*.png'"):
        assert files(load(content)) == ["cat/1.png", "dog/2.png", "dog.png"]
    assert files(load("'c/*/*.png'")) == ["cat/1.png", "dog/2.png"]


@pytest.mark.parametrize("content", ["c", "'c/**/*.png'", "'c/**'"])
def test_links_that_loop_are_noticed(
    load: Callable[..., Manifest], picture: Make, tmp_path: Path, content: str
) -> None:
    picture("c/a.png"), picture("c/x/b.png"), picture("c/y/z.png")
    (tmp_path / "c/self").symlink_to(tmp_path / "c")
    (tmp_path / "c/x/up").symlink_to(tmp_path / "c/y")
    (tmp_path / "c/y/up").symlink_to(tmp_path / "c/x")
    manifest = load(content)
    assert files(manifest) == ["a.png", "x/b.png", "y/z.png"]
    assert manifest.passed == "3 links to folders that are taken already"


def test_folders_that_all_link_to_each_other_are_each_walked_once(
    load: Callable[..., Manifest], picture: Make, tmp_path: Path
) -> None:
    for i in range(12):
        picture(f"elsewhere/{i}/a.png")
    for i in range(12):
        for j in range(12):
            (tmp_path / f"elsewhere/{i}/to{j}").symlink_to(tmp_path / f"elsewhere/{j}")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/first").symlink_to(tmp_path / "elsewhere/0")
    assert len(files(load("c"))) == 12


def test_links_that_lead_nowhere_and_pipes_are_counted(
    load: Callable[..., Manifest], picture: Make, tmp_path: Path
) -> None:
    picture("c/a.png")
    (tmp_path / "c/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "c/round.png").symlink_to(tmp_path / "c/round.png")
    os.mkfifo(tmp_path / "c/pipe.png")
    manifest = load("c")
    assert files(manifest) == ["a.png"]
    assert manifest.passed == "2 links that lead nowhere, 1 pipes, sockets and devices"


@pytest.mark.parametrize("folder", ["x [2024]", "x*", "a?b/[c]"])
def test_the_manifests_own_folder_is_never_a_pattern(
    load: Callable[..., Manifest], picture: Make, folder: str
) -> None:
    picture(f"{folder}/photos/a.png"), picture(f"{folder}/photos/[b]/c.png")
    assert files(load("'photos/*.png'", folder)) == ["a.png"]
    assert files(load("'photos/**/*.png'", folder)) == ["[b]/c.png", "a.png"]
    assert files(load("photos", folder)) == ["[b]/c.png", "a.png"]
    # A folder that is there under the very name is meant, wildcards or not.
    assert files(load("'photos/[b]/*.png'", folder)) == ["c.png"]


def test_globs_mean_what_they_mean_elsewhere(tmp_path: Path) -> None:
    every = ("a.png", "x/a.png", "x/y/a.png", "x/y/b.jpg", "z/y/a.png")
    for name in every:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def found(pattern: str) -> list[str]:
        return sorted(walk(tmp_path, None, Passed(), pattern.split("/")))

    for pattern in ("*", "*/*", "**/*", "**/y/*", "x/**/*.png", "**", "[xz]/y/a*", "**/**/b.*"):
        wanted = [p for p in tmp_path.glob(pattern if pattern != "**" else "**/*") if p.is_file()]
        assert found(pattern) == sorted(p.relative_to(tmp_path).as_posix() for p in wanted), pattern
