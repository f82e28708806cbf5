"""Labels that every file system takes, of which names of outputs are made.

In: words, paths, swept values. Out: labels; which go into one name is not known here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_RESERVED = {"con", "prn", "aux", "nul"} | {f"{n}{i}" for n in ("com", "lpt") for i in range(10)}
_LONGEST_LABEL = 80
_SUFFIX = re.compile(r"(?<=.)\.[A-Za-z0-9]{1,8}$", re.DOTALL)
_MARKED = re.compile(r"~[0-9a-f]{8}(?:\.[A-Za-z0-9]{1,8})?$")


def _replaced(text: str) -> str:
    """Without characters that some file system does not take, and without `__`."""
    # A Linux file name need not be UTF-8; what is not becomes `?`, and that `_`.
    text = unicodedata.normalize("NFC", text.encode(errors="replace").decode())
    text = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", text)
    return re.sub(r"_+", "_", text).strip(" ._")


def _is_reserved(text: str) -> bool:
    """Whether Windows keeps the name for a device."""
    return text.split(".")[0].strip().lower() in _RESERVED


def _cut(text: str, size: int) -> str:
    """Its beginning, of at most so many bytes."""
    return text.encode()[:size].decode(errors="ignore").rstrip(" ._")


def safe_label(text: str) -> str:
    """A file-name part that Linux, macOS and Windows all take, without `__` in or at its ends.

    Labels are joined by `__`, so a label without it keeps joined names unambiguous. Several texts
    may have one label; `own_label` keeps them apart.

    >>> safe_label("a: b__c?"), safe_label("con"), safe_label("..")
    ('a_ b_c', 'con-file', 'unnamed')
    """
    text = _replaced(text) or "unnamed"
    if _is_reserved(text):
        text = f"{text}-file"
    if len(text.encode()) > _LONGEST_LABEL:
        text = f"{_cut(text, _LONGEST_LABEL - 9)}-{short_hash(text)}"
    return text


def own_label(text: str) -> str:
    """As `safe_label`, but no other text has it: what had to be changed bears a mark of its own.

    So it depends on nothing but the text, whatever else there is. A suffix stays at the end.

    >>> own_label("a b.jpg"), own_label("a:b.jpg"), own_label("a?b.jpg")
    ('a b.jpg', 'a_b~be6b3059.jpg', 'a_b~7067486f.jpg')
    """
    safe = _replaced(text)
    fits = len(safe.encode()) <= _LONGEST_LABEL and not _is_reserved(safe)
    if safe == text and text and fits and not _MARKED.search(text):
        return text
    return marked(safe, short_hash(text))


def marked(label: str, mark: str) -> str:
    """A label that bears a mark before its suffix.

    >>> marked("cat.jpg", "5ed02eef")
    'cat~5ed02eef.jpg'
    """
    found = _SUFFIX.search(label)
    suffix = found[0] if found else ""
    stem = _cut(label.removesuffix(suffix), _LONGEST_LABEL - 1 - len(mark) - len(suffix))
    stem = f"file-{stem}" if _is_reserved(stem) else stem
    return f"{stem or 'unnamed'}~{mark}{suffix}"


def own_path(path: str) -> str:
    """A path below a folder, each part an `own_label`; never absolute, never above the folder.

    >>> own_path("town/a.jpg"), own_path("/../town/a.jpg")
    ('town/a.jpg', 'town/a.jpg')
    """
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(map(own_label, parts)) or "unnamed"


def short_hash(text: str) -> str:
    """8 hex digits that keep equal labels apart."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def value_label(name: str, value: Any) -> str:
    """A swept value in a file name.

    >>> value_label("style_weight", 1000.0), value_label("clamp", False)
    ('style_weight-1000', 'clamp-off')
    >>> value_label("style_layers", {"conv1_1": 0.5, "conv2_1": 0.5})
    'style_layers-conv1_1+conv2_1'
    """
    return safe_label(f"{name}-{value_text(value)}")


def value_text(value: Any) -> str:
    """A swept value as a person reads it.

    >>> value_text(-1), value_text(1e6), value_text({"conv1_1": 1, "conv2_1": 3})
    ('-1', '1e+06', 'conv1_1=1+conv2_1=3')
    >>> value_text({"name": "vgg19", "weights": "nets/own.pth"})
    'vgg19-own'
    """
    if isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, (list, tuple)):
        text = "+".join(map(_number_text, value))
    elif isinstance(value, Mapping) and "name" in value:  # a backbone
        text = "-".join(_stem(str(part)) for part in value.values())
    elif isinstance(value, Mapping):
        weights = [_number_text(weight) for weight in value.values()]
        equal = len(set(weights)) == 1
        text = "+".join(
            str(key) if equal else f"{key}={weight}"
            for key, weight in zip(value, weights, strict=True)
        )
    else:
        text = _stem(str(value))
    return text


def _stem(text: str) -> str:
    """A file's name without its suffix, of a path; else the text."""
    return Path(text).stem if "/" in text else text


def _number_text(value: Any) -> str:
    """A number; of a record that someone else made anything may stand there."""
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def own_value_label(name: str, value: Any) -> str:
    """As `value_label`, with every digit of a number, and a mark where anything was changed.

    >>> own_value_label("style_weight", 7.0000001), own_value_label("style_weight", 1000.0)
    ('style_weight-7.0000001', 'style_weight-1000')
    """
    if isinstance(value, float) and float(f"{value:g}") != value:
        return own_label(f"{name}-{value!r}")
    return own_label(f"{name}-{value_text(value)}")
