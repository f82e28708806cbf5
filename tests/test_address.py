"""Addresses as paths, and what is never shown of them."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.address import (
    Address,
    as_path,
    clean,
    is_address,
    keep_secrets,
    kept_secrets,
    secret_of,
)
from pipeline.errors import ManifestError, NstError
from pipeline.files import real, write_atomic
from pipeline.terminal import json_printable, printable


def address(word: str) -> Address:
    found = as_path(word)
    assert isinstance(found, Address)
    return found


@pytest.mark.parametrize(
    "word",
    ["s3://bucket/a.jpg", "gs://b/c d.png", "hf://datasets/me/set@main/a.jpg", "memory://run",
     "https://host:8080/a@2x.jpg", "http://host/a%20b.jpg", "s3://bucket/a@2x.jpg"],
)  # fmt: skip
def test_an_address_is_spelled_as_it_was_given(word: str) -> None:
    assert str(address(word)) == word
    assert address(str(Path(word))) == address(word)  # as a shell's word through `Path`


@pytest.mark.parametrize(
    "word", ["a.jpg", "/s3:/a.jpg", "C:/a.jpg", "ftp://host/a", "s3:a", "./s3:/a"]
)
def test_other_words_are_paths(word: str) -> None:
    assert not is_address(word)
    assert as_path(word) == Path(word)
    assert not isinstance(as_path(word), Address)


def test_it_is_joined_and_taken_apart_as_a_path() -> None:
    run = address("s3://bucket/run")
    record = run / "images" / "a" / "b.json"
    assert str(record) == "s3://bucket/run/images/a/b.json"
    assert str(record.with_suffix(".png")) == "s3://bucket/run/images/a/b.png"
    assert record.relative_to(run).as_posix() == "images/a/b.json"
    assert record.is_relative_to(run) and not record.is_relative_to(address("s3://bucket/ru"))
    assert isinstance(record.parent, Address) and record.parent.name == "a"
    assert (record.stem, record.scheme, record.storage) == ("b", "s3", "s3://bucket")
    assert pickle.loads(pickle.dumps(record)) == record
    assert {record: 1}[address(str(record))] == 1


def test_it_leads_nowhere_else() -> None:
    one = address("s3://bucket/a/../b.jpg")
    assert real(one) == one == one.resolve() == one.absolute() == one.expanduser()
    assert one.is_absolute() and one.place == "bucket/b.jpg"


@pytest.mark.parametrize(
    ("word", "shown", "secret"),
    [("s3://KEY:SE/CR+ET@bucket/a.jpg", "s3://bucket/a.jpg", ("KEY:SE/CR+ET", "")),
     ("s3://token@bucket/a.jpg", "s3://bucket/a.jpg", ("token", "")),
     ("https://me:word@host/a@b.jpg", "https://host/a@b.jpg", ("me:word", "")),
     ("https://host/a.jpg?X-Amz-Signature=1&b=2#c", "https://host/a.jpg",
      ("", "?X-Amz-Signature=1&b=2#c"))],
)  # fmt: skip
def test_secrets_are_kept_apart(word: str, shown: str, secret: tuple[str, str]) -> None:
    found = address(word)
    assert str(found) == shown
    assert secret_of(found) == secret
    assert secret_of(address(shown)) == secret  # for every later mention
    handed_on = kept_secrets()
    keep_secrets({})
    assert set(handed_on.values()) == {part for part in secret if part}


_KEYS = st.text("ABCDEFGHabcdefgh0123456789+/=_-", min_size=6, max_size=40)


@given(user=_KEYS.filter(lambda text: "/" not in text), word=_KEYS)
def test_no_error_and_no_line_shows_a_secret(user: str, word: str) -> None:
    raw = f"s3://{user}:{word}@some.bucket/picture.jpg"
    assert word not in str(NstError(f"{raw}: gone"))
    assert word not in "".join(ManifestError([f"m.yaml:1: {raw} again {raw}"]).problems)
    assert word not in printable(raw) and word not in json_printable(f'{{"a": "{raw}"}}')


def test_a_secret_that_stands_alone_is_not_shown_either() -> None:
    as_path("s3://AKIAKEY:verysecret@bucket/a.jpg")
    as_path("https://host/a.jpg?X-Amz-Signature=abcdef")
    assert clean("InvalidKey: verysecret is not known") == "InvalidKey: *** is not known"
    assert "abcdef" not in clean("GET /a.jpg?X-Amz-Signature=abcdef failed")


def test_text_without_addresses_stays() -> None:
    for text in ("a: b@c", "10:30 @home", "photos/a?b.jpg", "https://host/page"):
        assert clean(text) == text


def test_only_run_folders_are_remote() -> None:
    with pytest.raises(NstError, match="only a run folder may be remote"):
        write_atomic(Path("s3://bucket/sheet.png"), b"")
    assert not Path("s3:").exists()
