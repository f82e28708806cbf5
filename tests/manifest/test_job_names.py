"""Jobs by name, glob and list."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import ManifestError
from pipeline.manifest import JobNames, load_manifest, named_jobs

NAMES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), max_size=5)


@given(NAMES, st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
def test_a_name_means_itself_whatever_signs_it_holds(entries: list[str], name: str) -> None:
    assert JobNames((*entries, name)).takes(name)
    plain = tuple(e for e in entries if e != name and not any(sign in e for sign in "*?["))
    wanted = [e for e in plain if not (e.startswith("images/") or "." in e)]
    assert not JobNames(tuple(wanted)).takes(name)


def test_a_glob_reaches_into_folders_and_heeds_capitals() -> None:
    some = JobNames(("train/*__wave", "val/?.jpg__*"))
    assert some.takes("train/cats/1.jpg__wave") and some.takes("val/1.jpg__red__seed-2")
    assert not some.takes("train/cats/1.jpg__Wave") and not some.takes("val/12.jpg__red")
    assert not some.takes("x")


def test_an_entry_that_is_a_jobs_name_is_no_glob() -> None:
    names = ("photo[1].jpg__wave", "photo1.jpg__wave", "b[2].jpg__wave", "b2.jpg__wave")
    some = JobNames(("photo[1].jpg__wave", "images/b[2].jpg__wave.png")).among(names)
    assert [some.takes(name) for name in names] == [True, False, True, False]
    assert some.naming_nothing(names) == ()
    still = JobNames(("photo[1].jpg__wave",)).among(names[1:])  # where there is no such name
    assert still.takes("photo1.jpg__wave")


def test_each_entry_that_means_a_job_does_beside_others_that_do() -> None:
    names = ["train/cat/a__wave", "train/dog/b__wave"]
    entries = ("train/*", "train/cat/*", "train/cat/a__wave", "images/train/cat/a__wave.png", "x")
    assert JobNames(entries).naming_nothing(names) == ("x",)
    assert JobNames(()).naming_nothing(names) == ()


def test_names_of_all_jobs_are_asked_for_only_where_a_glob_may_be_one() -> None:
    def never() -> Iterator[str]:
        raise AssertionError("no job's name holds `*` or `?`")
        yield

    some = JobNames(("*dog*", "a.jpg__wave", "c?.png__s"))
    assert some.among(never()) is some


def test_a_pictures_path_is_as_good_as_its_name() -> None:
    some = JobNames(("images/cats/1.jpg__wave.png", "images/dogs/*.png"))
    assert some.takes("cats/1.jpg__wave") and some.takes("dogs/2.jpg__red")
    assert not some.takes("cats/1.jpg")
    assert not JobNames(("cats/*.jpg",)).takes("cats/1.jpg__wave")  # of no name at all


def test_nothing_means_nothing() -> None:
    assert not JobNames() and not JobNames().takes("x")


def test_a_list_has_a_name_a_line_and_remarks(tmp_path: Path) -> None:
    text = "# rejected of /runs/town\n\n  a__wave \ncats/*\na__wave\n"
    (tmp_path / "rejected.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    some = named_jobs(["b__wave", "rejected.txt"], tmp_path)
    assert some.entries == ("b__wave", "a__wave", "cats/*")


def test_a_list_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "folder.txt").mkdir()
    for name, why in (
        ("none.txt", "no such list of names; check the path"),
        ("picture.txt", "cannot be read as UTF-8 text .*; save the list of names as UTF-8"),
        ("folder.txt", "cannot be read"),
    ):
        with pytest.raises(ManifestError, match=why):
            named_jobs([name], tmp_path)


def test_a_manifest_leaves_out_names_globs_and_lists(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    (tmp_path / "rejected.txt").write_text("# of the page\na.png__a.png\n")
    text = "output: run\ncontent: a.png\nstyle: a.png\nbackbone: lite\nexclude: "
    (tmp_path / "m.yaml").write_text(text + "rejected.txt\n")
    assert load_manifest(tmp_path / "m.yaml").exclude == JobNames(("a.png__a.png",))
    (tmp_path / "m.yaml").write_text(text + "[rejected.txt, 'b*', a.png__a.png]\n")
    assert load_manifest(tmp_path / "m.yaml").exclude.entries == ("a.png__a.png", "b*")
    (tmp_path / "m.yaml").write_text(text + "[x, none.txt, 7]\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "m.yaml")
    first, second = caught.value.problems
    assert "m.yaml:5: exclude" in first and "m.yaml:5: exclude" in second
    assert any("none.txt: no such list of names" in problem for problem in (first, second))
