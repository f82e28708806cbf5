"""Addresses of remote storage, such as `s3://bucket/photos/cat.jpg`, as paths.

In: words of a person. Out: addresses without credentials; what was a secret in them is kept in this
process alone, for whoever opens them. Knows no storage.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

SCHEMES = ("s3", "gs", "hf", "https", "http", "memory")
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):(?://?)(.*)", re.DOTALL | re.IGNORECASE)
_USERS = r"(?:[^\s/@:'\"<>]*:[^\s@'\"<>]*|[^\s/@:'\"<>]*)@(?=[^\s/@])"
# What is never shown of an address, wherever in a text it stands.
_SECRETS_IN_TEXT = (
    (re.compile(rf"\b((?:s3|gs|hf|memory):)(//?){_USERS}"), r"\1\2"),
    (re.compile(r"\b(https?:)(//?)[^\s/@'\"<>]*@(?=[^\s/@])"), r"\1\2"),
    (re.compile(r"\b(https?://[^\s?#'\"<>]+)[?#][^\s'\"<>]*"), r"\1"),
)
_SHORTEST = 6  # of a part of a secret that is looked for by itself
# Of a storage (`s3://bucket`) its user's words, of a file of the web its query.
_KEPT: dict[str, str] = {}

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())


class Address(_Path):
    """A path of remote storage: it is joined and taken apart as any other, and spelled as an
    address.

    A path and not a class of its own, since pictures, masks and run folders are paths in every
    stage; only what opens one has to know. It is absolute, and the system knows no file of its
    name.
    """

    def __str__(self) -> str:
        plain = super().__str__().replace("\\", "/")  # of Windows
        found = _ADDRESS.fullmatch(plain)
        return f"{found[1]}://{found[2]}" if found else plain  # a part of one

    def is_absolute(self) -> bool:
        """True, but of what `relative_to` gave."""
        return is_address(str(self))

    def absolute(self) -> Address:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> Address:
        """Itself."""
        return self

    def expanduser(self) -> Address:
        """Itself."""
        return self

    @property
    def scheme(self) -> str:
        """`s3`, `https` and so on."""
        return str(self).partition(":")[0]

    @property
    def place(self) -> str:
        """What follows the scheme, without `..`: a bucket or host, and what is in it."""
        place = posixpath.normpath(str(self).partition("://")[2])
        return "" if place == "." else place

    @property
    def storage(self) -> str:
        """The bucket or host, as an address."""
        return f"{self.scheme}://{self.place.partition('/')[0]}"


def is_address(word: str) -> bool:
    """Whether a word is an address.

    >>> is_address("s3://bucket/a.jpg"), is_address("photos/a.jpg"), is_address("C:/a.jpg")
    (True, False, False)
    """
    return _ADDRESS.fullmatch(word) is not None


def as_path(word: Path | str) -> Path:
    """A path, or an address where the word is one; its secrets are kept and not in it.

    >>> str(as_path("s3://KEY:SE/CRET@bucket/a@2x.jpg"))
    's3://bucket/a@2x.jpg'
    >>> str(as_path("https://me:word@host/a.jpg?signature=1"))
    'https://host/a.jpg'
    """
    if isinstance(word, Address):
        return word
    found = _ADDRESS.fullmatch(str(word))
    if found is None:
        return Path(word)
    scheme, rest = found[1].lower(), found[2].lstrip("/")
    query = ""
    if scheme in ("http", "https"):
        plain = re.split(r"[?#]", rest, maxsplit=1)
        query, rest = rest[len(plain[0]) :], plain[0]
        host, slash, below = rest.partition("/")
        user, _, host = host.rpartition("@")
        rest = f"{host}{slash}{below}"
    else:
        users = re.match(_USERS, rest)
        user, rest = (users[0][:-1], rest[users.end() :]) if users else ("", rest)
    address = Address(f"{scheme}://{rest}")
    if user:
        _KEPT[address.storage] = user
    if query:
        _KEPT[str(address)] = query
    return address


def secret_of(address: Address) -> tuple[str, str]:
    """What belongs to an address and is never shown: the user's words (`KEY:SECRET`), the query
    (`?signature=1`); each empty where there is none."""
    return _KEPT.get(address.storage, ""), _KEPT.get(str(address), "")


def kept_secrets() -> dict[str, str]:
    """All secrets of this process, to be handed on to its workers and to nobody else."""
    return dict(_KEPT)


def keep_secrets(secrets: Mapping[str, str]) -> None:
    """Takes secrets over from the process that this one works for."""
    _KEPT.update(secrets)


def clean(text: str) -> str:
    """A text without the secrets of addresses in it.

    >>> clean("s3://KEY:SECRET@bucket/a.jpg: gone; see https://host/b?sign=1")
    's3://bucket/a.jpg: gone; see https://host/b'
    """
    for secret in _KEPT.values():
        text = text.replace(f"{secret}@", "").replace(secret, "")
        part = secret.rpartition(":")[2]
        text = text.replace(part, "***") if len(part) >= _SHORTEST else text
    if ":/" not in text:
        return text
    for pattern, instead in _SECRETS_IN_TEXT:
        text = pattern.sub(instead, text)
    return text
