"""Which package opens which storage."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.address import Address, as_path
from pipeline.errors import MissingPackageError
from pipeline.remote.drivers import file_system, spelled


def address(word: str) -> Address:
    found = as_path(word)
    assert isinstance(found, Address)
    return found


@pytest.mark.parametrize(
    ("word", "package", "extra"),
    [("s3://b/a", "s3fs", "s3"), ("gs://b/a", "gcsfs", "gcs"),
     ("hf://datasets/a/b/c", "huggingface_hub", "hf"), ("https://h/a", "aiohttp", "http")],
)  # fmt: skip
def test_a_missing_driver_is_told_with_its_extra(
    word: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=rf"{package}.*pip install '\.\[{extra}\]'"):
        file_system(address(word))


def test_who_meets_no_address_loads_no_driver() -> None:
    code = (
        "import sys, cli, pipeline.commands.plan, pipeline.commands.status, pipeline.remote\n"
        "from pipeline.remote import local_copy, put; from pathlib import Path\n"
        "local_copy(Path('a'))\n"
        "assert not {'fsspec', 's3fs', 'aiohttp', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_credentials_and_time_outs_reach_the_driver() -> None:
    found = file_system(address("s3://KEY:SE/CRET@bucket/a.jpg"))
    assert (found.key, found.secret) == ("KEY", "SE/CRET")
    assert found.config_kwargs["read_timeout"] > 0 and found.config_kwargs["connect_timeout"] > 0
    assert file_system(address("s3://other/a.jpg")).key is None


def test_a_storage_that_takes_no_credentials_says_so() -> None:
    with pytest.raises(OSError, match="takes no credentials in an address; set GOOGLE") as told:
        file_system(address("gs://KEY:topsecret@bucket/a.jpg"))
    assert "topsecret" not in str(told.value)


def test_the_web_is_given_the_whole_address() -> None:
    web = address("https://me:word@host/a%20b.jpg?sign=1")
    assert spelled(web) == "https://me:word@host/a%20b.jpg?sign=1"
    assert file_system(web).client_kwargs["timeout"].sock_read > 0
    assert spelled(address("s3://KEY:SECRET@bucket/a.jpg")) == "bucket/a.jpg"
