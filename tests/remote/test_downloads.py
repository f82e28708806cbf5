"""Local copies of remote files: fetched once, by their version, within limits."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.address import Address, as_path
from pipeline.remote import (
    Found,
    begin_downloads,
    download_files,
    forget_listed,
    identified,
    is_here,
    is_there,
    listing,
    local_copy,
    note_listed,
    pin,
    put,
    trim_downloads,
)
from pipeline.remote import downloads as module


def address(word: str) -> Address:
    found = as_path(word)
    assert isinstance(found, Address)
    return found


@pytest.fixture
def at() -> Address:
    found = address("memory://bucket/photos/a.jpg")
    put(found, b"first")
    begin_downloads(None)
    return found


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Address]:
    seen: list[Address] = []
    plain = module.download

    def counted(found: Address, *rest: Any) -> None:
        seen.append(found)
        plain(found, *rest)

    monkeypatch.setattr(module, "download", counted)
    return seen


def test_a_local_path_is_itself(tmp_path: Path) -> None:
    assert local_copy(tmp_path / "a.jpg") == tmp_path / "a.jpg"


def test_it_is_known_what_is_here_without_asking(
    at: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_here(tmp_path / "a.jpg") and not is_here(at)
    copy = local_copy(at)
    with monkeypatch.context() as patch:
        patch.setattr(module, "look", lambda _: pytest.fail("asked"))
        assert is_here(at)
        forget_listed()
        assert not is_here(at)  # it may be another by now
        assert pin(at, copy.name) and is_here(at)
        copy.unlink()
        assert not is_here(at)


def test_a_version_is_fetched_once(at: Address, fetched: list[Address]) -> None:
    first = local_copy(at)
    assert first.read_bytes() == b"first" and first.name == hashlib.sha256(b"first").hexdigest()
    forget_listed()  # as in the next process
    assert local_copy(at) == first and fetched == [at]
    put(at, b"second")
    forget_listed()
    assert local_copy(at).read_bytes() == b"second"
    assert len(fetched) == 2 and first.read_bytes() == b"first"


def test_what_was_listed_is_not_looked_at(
    at: Address, fetched: list[Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    note_listed(at, listing(address("memory://bucket/photos"))["a.jpg"])
    monkeypatch.setattr(module, "look", lambda _: pytest.fail("looked"))
    assert local_copy(at).read_bytes() == b"first"


def test_bytes_that_are_known_are_taken_without_asking(
    at: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = local_copy(at).name
    put(at, b"second")
    forget_listed()
    monkeypatch.setattr(module, "look", lambda _: pytest.fail("looked"))
    assert local_copy(at, digest).read_bytes() == b"first"
    assert local_copy(at, f"{digest}:2").read_bytes() == b"first"
    assert pin(at, digest) and not pin(at, "0" * 64) and not pin(at, "")
    assert local_copy(at).read_bytes() == b"first" and is_there(at)
    assert identified(at, Path.read_text) == "first"
    monkeypatch.undo()
    begin_downloads(None)
    assert is_there(at) and not is_there(at.with_name("none.jpg"))


def test_an_identity_outlives_its_copy(at: Address, fetched: list[Address]) -> None:
    def identify(path: Path) -> str:
        return f"{path.read_bytes().decode()}!"

    assert identified(at, identify) == "first!"
    assert trim_downloads(0) == 1 and not download_files()
    forget_listed()
    assert identified(at, lambda _: pytest.fail("read again")) == "first!"
    put(at, b"second")
    forget_listed()
    assert identified(at, identify) == "second!"
    assert len(fetched) == 2


def test_a_storage_that_names_no_version_is_asked_each_time(
    at: Address, fetched: list[Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "look", lambda _: Found(5, ""))
    local_copy(at)
    put(at, b"other")
    assert local_copy(at).read_bytes() == b"other" and len(fetched) == 2


def test_a_file_over_the_limit_is_refused(at: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 4)
    with pytest.raises(OSError, match="larger than") as told:
        local_copy(at)
    assert told.value.errno == errno.EFBIG
    assert not [path for path in module.downloads_folder().rglob("*") if path.is_file()]


def test_what_is_not_there_is_told(at: Address) -> None:
    with pytest.raises(FileNotFoundError):
        local_copy(address("memory://bucket/photos/none.jpg"))


def test_the_least_lately_used_copies_go_first() -> None:
    copies = []
    for number in range(3):
        one = address(f"memory://bucket/{number}")
        put(one, bytes([number]) * 10)
        copies.append(local_copy(one))
        os.utime(copies[-1], (number, number))
    forget_listed()
    local_copy(address("memory://bucket/0"))  # used again
    assert trim_downloads(20) == 1
    assert [copy.exists() for copy in copies] == [True, False, True]


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": 3}', '{"stamp": 1, "sha256": "../../x"}'])
def test_a_damaged_note_costs_a_look(at: Address, text: str) -> None:
    local_copy(at)
    (note,) = (module.downloads_folder() / "notes").rglob("*.json")
    note.write_text(text)
    assert local_copy(at).read_bytes() == b"first"
