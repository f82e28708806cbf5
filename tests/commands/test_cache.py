"""`nst cache`: what is in it, and that it can be cleared."""

from pathlib import Path

import pytest

from pipeline.commands import clear_cache, show_cache
from pipeline.commands.doctor import run_checks
from pipeline.method import inspect_weights, load_weights

Capture = pytest.CaptureFixture[str]


def test_notes_on_weights_are_listed_and_cleared(tmp_path: Path, capsys: Capture) -> None:
    show_cache(tmp_path / "own")
    assert "notes on weights: none" in capsys.readouterr().out
    inspect_weights("vgg19", "caffe", cache=tmp_path / "own")
    notes = tmp_path / "own" / "weights.json"
    (tmp_path / "own" / ".tmp-left").touch()
    show_cache(tmp_path / "own")
    assert f"weights.json, {notes.stat().st_size} bytes" in capsys.readouterr().out
    clear_cache(tmp_path / "own")
    assert "deleted 1 file" in capsys.readouterr().out
    assert not list((tmp_path / "own").iterdir())
    clear_cache(tmp_path / "own")
    assert "deleted 0 files" in capsys.readouterr().out


def test_frames_of_videos_are_listed_and_cleared(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "own" / "clips" / ("0" * 64)
    folder.mkdir(parents=True)
    (folder / "000001.png").write_bytes(bytes(2_000_000))
    show_cache(tmp_path / "own")
    assert "frames of videos: 1 video, 1 file, 2.0 MB" in capsys.readouterr().out
    clear_cache(tmp_path / "own")
    assert "deleted 1 file, 2.0 MB" in capsys.readouterr().out
    assert not list((tmp_path / "own").iterdir())


def test_whoever_reads_weights_keeps_notes_in_the_folder_that_was_named(tmp_path: Path) -> None:
    """The autouse fixture's NST_CACHE_DIR, below `cache`, gets none."""
    load_weights("vgg19", "caffe", cache=tmp_path / "a")
    list(run_checks(tmp_path / "b"))
    assert all((tmp_path / name / "weights.json").is_file() for name in "ab")
    assert not (tmp_path / "cache" / "weights.json").exists()


def test_copies_of_remote_files_are_listed_and_cleared(tmp_path: Path, capsys: Capture) -> None:
    copy = tmp_path / "downloads" / "ab" / ("ab" * 32)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(bytes(1_500_000))
    show_cache(tmp_path)
    assert "copies of remote files: 1 file, 1.5 MB" in capsys.readouterr().out
    clear_cache(tmp_path)
    assert "deleted 1 file, 1.5 MB" in capsys.readouterr().out
    assert not copy.exists()
