"""Inputs of a run: found by their bytes, and no more of them read than that takes."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.address import as_path
from pipeline.errors import MissingPackageError
from pipeline.pictures import read_identity
from pipeline.remote import begin_downloads, forget_listed, local_copy, put
from pipeline.report import Inputs

AT = "memory://bucket/photos/a.png"


def test_looking_for_a_remote_picture_changes_nothing_of_what_it_is_now() -> None:
    put(as_path(AT), b"first")  # type: ignore[arg-type]
    begin_downloads(None)
    first = read_identity(as_path(AT))
    put(as_path(AT), b"second")  # type: ignore[arg-type]
    forget_listed()
    found = Inputs(None).find(AT, first)
    assert found == local_copy(found) and found.read_bytes() == b"first"
    assert read_identity(as_path(AT)) == hashlib.sha256(b"second").hexdigest()
    assert Inputs(None).find(AT, "0" * 64) is None


def test_one_that_is_to_be_used_again_stands_for_its_bytes_until_the_next_command() -> None:
    put(as_path(AT), b"first")  # type: ignore[arg-type]
    begin_downloads(None)
    first = read_identity(as_path(AT))
    put(as_path(AT), b"second")  # type: ignore[arg-type]
    forget_listed()
    assert Inputs(None).search(AT, first) == as_path(AT)
    assert read_identity(as_path(AT)) == first
    begin_downloads(None)
    assert read_identity(as_path(AT)) != first


def test_no_more_is_read_than_it_takes(
    tmp_path: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.report import inputs as module

    paths = [picture(f"in/{number}.png", number) for number in range(4)]
    read: list[Path] = []
    plain = module.file_sha256

    def counted(path: Path) -> str:
        read.append(path)
        return plain(path)

    monkeypatch.setattr(module, "file_sha256", counted)
    inputs = Inputs(None, [tmp_path / "in"])
    for _ in range(2):
        for path in paths[1:]:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert inputs.search("gone.png", digest) == path
    assert sorted(read) == paths
    assert inputs.search("gone.png", "0" * 64) is None


def test_a_picture_that_cannot_be_read_here_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Callable[..., Path]
) -> None:
    path = picture("in/a.png")

    def lacks(_: Path) -> str:
        raise MissingPackageError("needs pyarrow")

    monkeypatch.setattr("pipeline.report.inputs.file_sha256", lacks)
    inputs = Inputs(None, [tmp_path / "in"])
    assert inputs.find(str(path), "0" * 64) is None
    assert inputs.search(str(path), "0" * 64) is None
