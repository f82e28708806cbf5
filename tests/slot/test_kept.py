"""Style targets in memory: a style is read and blended once, and there is an end to it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from batches import INLINE, records

from pipeline.commands import batch_manifest
from pipeline.slot.kept import Kept
from pipeline.store.tensor_cache import TensorCache


@dataclass
class Pair:
    first: torch.Tensor
    others: tuple[torch.Tensor, ...] = ()


def numbers(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.uint8)


def never() -> torch.Tensor:
    raise AssertionError("it was kept")


def test_what_is_kept_is_the_same_object() -> None:
    kept, value = Kept(), numbers(3)
    assert kept.get("a", lambda: value) is value
    assert kept.get("a", never) is value


def test_what_another_thread_kept_meanwhile_stays() -> None:
    kept, first, second = Kept(), numbers(3), numbers(3)
    assert "a" not in kept

    def slowly() -> torch.Tensor:
        kept.get("a", lambda: first)
        return second

    assert kept.get("a", slowly) is second
    assert "a" in kept and kept.get("a", never) is first


def test_what_was_asked_for_least_lately_goes() -> None:
    kept = Kept(most=10)
    for name in ("a", "b"):
        kept.get(name, lambda: numbers(4))
    kept.get("a", never)
    kept.get("c", lambda: numbers(4))
    kept.get("a", never), kept.get("c", never)
    with pytest.raises(AssertionError, match="it was kept"):
        kept.get("b", never)


@pytest.mark.parametrize(
    "value",
    [
        numbers(11),
        [numbers(6), {"x": numbers(5)}],
        Pair(numbers(5), (numbers(3), numbers(3))),
    ],
)
def test_what_is_too_large_alone_puts_nothing_out(value: object) -> None:
    kept = Kept(most=10)
    kept.get("a", lambda: numbers(4))
    assert kept.get("b", lambda: value) is value
    kept.get("a", never)
    with pytest.raises(AssertionError, match="it was kept"):
        kept.get("b", never)


def test_a_style_is_read_from_the_cache_once_a_process(
    tmp_path: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        picture(f"content/{number}.png", number)
    picture("a.png", 7), picture("b.png", 8)
    asked = []
    get = TensorCache.get

    def counted(self: TensorCache, digest: str, *more: object) -> object:
        asked.append(digest)
        return get(self, digest, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(TensorCache, "get", counted)
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: content\nbackbone: lite\n"
        "style: [a.png, {name: both, blend: {a.png: 1, b.png: 3}}]\n"
        "settings: {size: 48, steps: 1, scale_start: 0}\n"
    )
    assert batch_manifest(tmp_path / "m.yaml", INLINE, quiet=True) == 0
    found = records(tmp_path / "run")
    assert len(found) == 6
    # Each picture's targets and vectors, once.
    assert len(asked) == len(set(asked)) == 4
    counts = [record["targets"] for record in found.values()]
    assert sum(each["computed"] for each in counts) == 2
    assert sum(each["hits"] for each in counts) == 7
