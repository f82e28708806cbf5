"""The cache of style targets: hits, damage, rights, many processes."""

import os
import threading
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import Tensor
from worlds import until

from pipeline.errors import DiskFullError, RunFolderError
from pipeline.files import cache_folder
from pipeline.store import (
    TargetsKey,
    blend_targets,
    cache_limit,
    cached_files,
    clear_cached,
    kept_trimmed,
    split_scales,
    trim_cached,
)
from pipeline.store.tensor_cache import TensorCache


def key(**changes: object) -> str:
    values: dict[str, object] = {
        "style": "a" * 64,
        "sizes": ((64, 48),),
        "backbone": "b" * 64,
        "pooling": "avg",
        "pooling_scale": 1.0,
        "statistic": "gram",
        "padding": "replicate",
        "layers": ("conv1_1",),
        "background": "white",
    }
    return TargetsKey(**{**values, **changes}).digest()  # type: ignore[arg-type]


class Maker:
    """Counts how often it is asked to compute."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, Tensor]:
        self.calls += 1
        return {"0.conv1_1": torch.arange(9.0).view(3, 3)}


def test_the_second_time_is_a_hit_with_the_same_values(tmp_path: Path) -> None:
    make, cache = Maker(), TensorCache(tmp_path)
    first = cache.get(key(), make, {})
    second = cache.get(key(), make, {})
    assert (first.hit, second.hit, make.calls) == (False, True, 1)
    assert torch.equal(first.tensors["0.conv1_1"], second.tensors["0.conv1_1"])


@pytest.mark.parametrize(
    "change",
    [
        {"style": "c" * 64},
        {"sizes": ((64, 49),)},
        {"backbone": "c" * 64},
        {"pooling": "max"},
        {"pooling_scale": 2.0},
        {"statistic": "wasserstein"},
        {"mask": "d" * 64},
        {"color": ("preserve_luminance", "cholesky", "e" * 64)},
        {"stretch": True},
        {"padding": "zeros"},
        {"layers": ("conv1_1", "conv2_1")},
        {"background": "black"},
        {"preprocessing": 99},
    ],
)
def test_all_that_decides_targets_is_in_the_key(change: dict[str, object]) -> None:
    assert key(**change) != key()


def test_what_is_there_is_found_without_waiting_and_a_damaged_file_is_not(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path)
    assert cache.find(key()) is None
    made = cache.get(key(), Maker(), {"of": "a style"})
    with FileLock(cache.path(key()).with_suffix(".lock")):
        found = cache.find(key())
    assert found is not None and found.hit and found.about == {"of": "a style"}
    assert found.tensors.keys() == made.tensors.keys()
    assert all(torch.equal(found.tensors[name], made.tensors[name]) for name in made.tensors)
    cache.path(key()).write_bytes(b"no tensors")
    assert cache.find(key()) is None


def test_a_damaged_file_is_reported_and_computed_anew(tmp_path: Path) -> None:
    make, cache = Maker(), TensorCache(tmp_path)
    cache.get(key(), make, {})
    path = cache.path(key())
    path.write_bytes(path.read_bytes()[:20])
    found = cache.get(key(), make, {})
    assert (found.hit, make.calls) == (False, 2)
    assert "damaged cache file" in str(found.warnings[0])
    assert cache.get(key(), make, {}).hit


def test_a_folder_that_cannot_be_written_costs_only_the_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = TensorCache(tmp_path / "file").get(key(), Maker(), {})
    assert not found.hit
    assert found.tensors["0.conv1_1"].shape == (3, 3)
    assert "the cache could not be used" in str(found.warnings[0])


def test_many_at_once_compute_once(tmp_path: Path) -> None:
    make = Maker()
    threads = [
        threading.Thread(target=lambda: TensorCache(tmp_path).get(key(), make, {}))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert make.calls == 1


def test_clearing_leaves_nothing(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path)
    cache.get(key(), Maker(), {})
    assert clear_cached(tmp_path)[0] == 1
    assert cached_files(tmp_path) == []
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_the_folder_is_the_argument_then_the_variable_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_CACHE_DIR", os.fspath(tmp_path / "b"))
    assert cache_folder(tmp_path / "a") == tmp_path / "a"
    assert cache_folder() == tmp_path / "b"
    monkeypatch.delenv("NST_CACHE_DIR")
    assert "nst" in str(cache_folder())


def test_blends_are_weighted_means_of_grams() -> None:
    one, two = {"conv1_1": torch.ones(2, 2)}, {"conv1_1": torch.full((2, 2), 5.0)}
    assert torch.equal(
        blend_targets([(one, 0.25), (two, 0.75)])["conv1_1"], torch.full((2, 2), 4.0)
    )


def test_scales_are_told_apart_beyond_ten() -> None:
    tensors = {f"{i}.conv1_1": torch.tensor(float(i)) for i in range(12)}
    assert [float(s["conv1_1"]) for s in split_scales(tensors, 12)] == list(range(12))


def test_what_was_computed_is_kept_where_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker()

    def refuse(path: Path, data: bytes) -> None:
        raise DiskFullError(f"{path}: cannot be written")

    monkeypatch.setattr("pipeline.store.tensor_cache.write_atomic", refuse)
    found = TensorCache(tmp_path).get(key(), make, {})
    assert (make.calls, found.hit, len(found.warnings)) == (1, False, 1)
    assert torch.equal(found.tensors["0.conv1_1"], Maker()()["0.conv1_1"])


def test_clearing_keeps_what_is_not_the_caches_own(tmp_path: Path) -> None:
    TensorCache(tmp_path).get(key(), Maker(), {})
    (tmp_path / key()[:2] / "note.txt").write_text("mine")
    assert clear_cached(tmp_path)[0] == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["note.txt"]


def test_a_full_cache_loses_what_was_used_least_lately(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path)
    digests = [f"{number:02}" + "0" * 62 for number in range(4)]
    for age, digest in enumerate(digests):
        cache.get(digest, lambda: {"a": torch.zeros(250)}, {})
        os.utime(cache.path(digest), (1e9 + age, 1e9 + age))
    assert cache.get(digests[0], dict, {}).hit  # used just now
    size = cache.path(digests[0]).stat().st_size
    assert trim_cached(tmp_path, 2.5 * size) == 2
    assert [cache.path(digest).exists() for digest in digests] == [True, False, False, True]
    assert trim_cached(tmp_path, 2.5 * size) == 0
    assert trim_cached(tmp_path / "nowhere", 0) == 0


def test_the_cache_is_kept_within_its_limit_while_a_run_goes_on(tmp_path: Path) -> None:
    """But for what was used just now, which goes at the end if it is too much."""
    cache = TensorCache(tmp_path)
    digests = [key(style=letter * 64) for letter in "abc"]
    with kept_trimmed(tmp_path, 1.0, every_s=0.5):
        for digest in digests:
            cache.get(digest, lambda: {"x": torch.ones(9)}, {})
        os.utime(cache.path(digests[1]), (1e9, 1e9))
        later = time.time() + 60
        os.utime(cache.path(digests[2]), (later, later))
        until(lambda: not cache.path(digests[1]).exists())
        assert cache.path(digests[2]).exists()
    assert not any(cache.path(digest).exists() for digest in digests)


@pytest.mark.parametrize(("text", "limit"), [("2.5", 2.5e9), ("0", float("inf"))])
def test_the_limit_is_in_gigabytes(
    text: str, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_limit() == 20e9
    monkeypatch.setenv("NST_CACHE_LIMIT_GB", text)
    assert cache_limit() == limit


@pytest.mark.parametrize("text", ["much", "-1", "nan", ""])
def test_a_limit_that_is_none_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_CACHE_LIMIT_GB", text)
    with pytest.raises(RunFolderError, match=f"NST_CACHE_LIMIT_GB={text}: must be a number"):
        cache_limit()


def test_a_cache_that_can_only_be_read_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = TensorCache(tmp_path)
    cache.get("a" * 64, lambda: {"a": torch.zeros(2)}, {})

    def refuse(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "utime", refuse)
    found = cache.get("a" * 64, dict, {})
    assert found.hit and not found.warnings
