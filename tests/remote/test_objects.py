"""Whole objects, at a real S3 server."""

import errno
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from buckets import KEY, SECRET, keys_in, s3_server

from pipeline.address import Address, as_path
from pipeline.remote import copy, delete, delete_tree, download, get, listing, look, names_in, put


def address(word: str) -> Address:
    found = as_path(word)
    assert isinstance(found, Address)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server("data") as at:
        yield at


def test_objects_at_a_real_server(server: str, tmp_path: Path) -> None:
    at = address(f"s3://{KEY}:{SECRET}@data")
    odd = at / "a b" / "p+%20?[x]&=~ü.json"
    put(odd, b"first")
    put(odd, b"second")
    (tmp_path / "file").write_bytes(b"third")
    put(at / "a b" / "c" / "file.bin", tmp_path / "file")
    put(at / "empty", b"")
    assert get(odd, 6) == b"second" and get(at / "empty", 9) == b""
    assert keys_in("data") == ["a b/c/file.bin", "a b/p+%20?[x]&=~ü.json", "empty"]
    for read in (lambda: get(odd, 5), lambda: download(odd, io.BytesIO(), 5)):
        with pytest.raises(OSError, match="larger than") as told:
            read()
        assert told.value.errno == errno.EFBIG
    found = listing(at / "a b")
    assert {name: one.size for name, one in found.items()} == {odd.name: 6, "c/file.bin": 5}
    assert list(names_in(at / "a b")) == [odd.name]
    known = look(odd)
    assert known is not None and known == found[odd.name] and known.stamp
    put(odd, b"fourth")  # as long
    assert look(odd) != known
    assert look(at / "a b") is None and look(at / "none") is None
    copy(odd, at / "copied.json")
    assert get(at / "copied.json", 99) == b"fourth"
    delete(odd)
    delete(odd)
    with pytest.raises(FileNotFoundError):
        get(odd, 99)
    delete_tree(at / "a b")
    delete_tree(at / "a b")
    assert keys_in("data") == ["copied.json", "empty"]
    nowhere = address("s3://no-such-bucket/a")
    assert listing(nowhere) == {} == names_in(nowhere) and look(nowhere) is None
    with pytest.raises(FileNotFoundError):
        put(nowhere, b"")
