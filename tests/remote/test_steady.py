"""What is tried again, with which pauses, and what errors say."""

import errno

import pytest

from pipeline.address import Address, as_path
from pipeline.errors import MissingPackageError
from pipeline.remote import steady
from pipeline.remote.steady import PAUSES_S, steadily


@pytest.fixture
def at() -> Address:
    found = as_path("s3://KEY:topsecret@bucket/a.jpg")
    assert isinstance(found, Address)
    return found


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(steady.time, "sleep", slept.append)
    return slept


class Broken:
    """Fails so many times, with this error."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "given"


@pytest.mark.parametrize(
    "error", [TimeoutError("slow"), ConnectionResetError(104, "reset"), RuntimeError("SlowDown")]
)
def test_transient_errors_are_tried_again_with_growing_pauses(
    at: Address, pauses: list[float], error: Exception
) -> None:
    assert steadily(at, Broken(2, error)) == "given"
    assert pauses == list(PAUSES_S[:2]) and pauses == sorted(pauses)


def test_in_the_end_it_is_told(at: Address, pauses: list[float]) -> None:
    action = Broken(99, RuntimeError("no route to s3://KEY:topsecret@bucket"))
    with pytest.raises(OSError, match=r"not reached in 4 tries: no route to s3://bucket") as told:
        steadily(at, action)
    assert action.calls == len(PAUSES_S) + 1 and told.value.errno == errno.EIO
    assert "topsecret" not in str(told.value) and told.value.__cause__ is None


class AnswerError(Exception):
    """As aiohttp's: an HTTP status, and the whole address in its words."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status}, url='https://host/a?sign=topsecret'")
        self.status = status


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [(FileNotFoundError(2, "x"), FileNotFoundError, "no such file"),
     (AnswerError(404), FileNotFoundError, "no such file"),
     (PermissionError("Access Denied"), PermissionError, "Access Denied; check credentials"),
     (AnswerError(403), PermissionError, "refused: HTTP 403; check credentials"),
     (type("NoCredentialsError", (Exception,), {})(), PermissionError, "no credentials found"),
     (ValueError("bad name"), OSError, "cannot be opened: bad name"),
     (OSError(errno.EFBIG, "larger than 1 MiB"), OSError, "larger than 1 MiB")],
)  # fmt: skip
def test_what_no_further_try_mends_is_told_at_once(
    at: Address, pauses: list[float], error: Exception, kind: type[OSError], words: str
) -> None:
    action = Broken(99, error)
    with pytest.raises(kind, match=words) as told:
        steadily(at, action)
    assert action.calls == 1 and not pauses
    assert "topsecret" not in str(told.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(at: Address, pauses: list[float], status: int) -> None:
    assert steadily(at, Broken(1, AnswerError(status))) == "given"
    assert len(pauses) == 1


def test_a_missing_package_is_told_as_it_is(at: Address, pauses: list[float]) -> None:
    with pytest.raises(MissingPackageError):
        steadily(at, Broken(1, MissingPackageError("install it")))
    assert not pauses
