"""Where a run lies that a word means."""

from pathlib import Path

import pytest

from pipeline.address import Address
from pipeline.commands import run_meant
from pipeline.errors import ManifestError


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    path = tmp_path / "project/manifest.yaml"
    path.write_text("output: {path: ../runs/town}\nsettings: {sise: 3}\n")
    return path


def test_a_manifest_or_its_folder_means_its_run(manifest: Path, tmp_path: Path) -> None:
    """Whatever else is wrong with it."""
    for word in (manifest, manifest.parent):
        assert run_meant(str(word)) == tmp_path / "runs/town"
    manifest.write_text("output: here\n")
    assert run_meant(str(manifest)) == manifest.parent / "here"


def test_a_run_folder_is_itself_though_it_holds_a_manifest(manifest: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.yaml").write_text(manifest.read_text())
    (run / "run.json").write_text('{"jobs": 1}')
    assert run_meant(str(run)) == run


def test_what_is_neither_is_left_to_the_command(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("")
    for word in (tmp_path, tmp_path / "nowhere", tmp_path / "x.png"):
        assert run_meant(str(word)) == word
    assert isinstance(run_meant("s3://bucket/run"), Address)


def test_a_manifest_without_output_is_told(manifest: Path) -> None:
    manifest.write_text("content: a.png\noutput: [a]\n")
    with pytest.raises(ManifestError, match=r"manifest.yaml:2: names no `output`"):
        run_meant(str(manifest))
