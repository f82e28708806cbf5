"""The normalized variant: means found once, kept in the run folder, refused if damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.errors import WeightsError
from pipeline.method import Weights, load_weights
from pipeline.store import (
    cached_files,
    find_means,
    load_means,
    means_made_for,
    normalized,
    save_means,
)
from pipeline.store.means import normalization_cache


@pytest.fixture(scope="module")
def lite() -> Weights:
    return load_weights("lite")


def test_means_are_of_the_pictures_whatever_their_order_and_names(
    tmp_path: Path, picture: Callable[..., Path], lite: Weights
) -> None:
    one, two = picture("a.png", 1), picture("b.png", 2)
    twin = picture("c.png", 1)
    found = find_means(lite, [one, two], tmp_path)
    again = find_means(lite, [two, twin, one], tmp_path)
    assert len(cached_files(normalization_cache(tmp_path).folder)) == 1
    assert found.keys() == again.keys() and all(torch.equal(found[k], again[k]) for k in found)
    other = find_means(lite, [one], tmp_path)
    assert len(cached_files(normalization_cache(tmp_path).folder)) == 2
    assert not all(torch.equal(found[k], other[k]) for k in found)
    assert normalization_cache(tmp_path).folder == tmp_path / "normalisation"  # as caches have it


def test_what_was_saved_is_read_and_changes_the_digest(
    tmp_path: Path, picture: Callable[..., Path], lite: Weights
) -> None:
    means = find_means(lite, [picture("a.png")], tmp_path / "cache")
    save_means(tmp_path / "means", means, "digest")
    assert means_made_for(tmp_path / "means") == "digest"
    read = load_means(tmp_path / "means")
    assert read.keys() == means.keys() and all(torch.equal(read[k], means[k]) for k in means)
    assert normalized(lite, read).digest == normalized(lite, means).digest != lite.digest


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"half")])
def test_a_damaged_vector_says_how_to_have_it_made_again(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    path = tmp_path / "means"
    save_means(path, {"conv1_1": torch.ones(3)}, "digest")
    spoil(path)
    with pytest.raises(WeightsError, match=r"damaged normalization file .*delete it"):
        load_means(path)
