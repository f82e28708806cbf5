"""Clips, from a manifest to frames and a video, in this process."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from batches import INLINE, Said, assert_whole, records, summary
from clips import moving, sound_of, times_of, write_frames, write_video
from PIL import Image

from pipeline.commands import Options, batch_manifest, run_manifest, show_status
from pipeline.errors import ManifestError, MissingPackageError
from pipeline.manifest import load_manifest
from pipeline.schedule import RunOptions

pytest.importorskip("av")
pytest.importorskip("cv2")

FAILED_ONLY = Options("cpu", run=RunOptions(engine="inline", failed_only=True))
HEAD = "output: run\nstyle: style/s.png\nbackbone: lite\n"
SETTINGS = "settings: {size: 48, steps: 3, scale_start: 0, clip_steps: 2}\n"


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("style/s.png", 3)
    return tmp_path


def manifest(folder: Path, content: str, settings: str = SETTINGS, more: str = "") -> Path:
    path = folder / "m.yaml"
    path.write_text(f"{HEAD}content: {content}\n{settings}{more}")
    return path


def batch(path: Path) -> int:
    return batch_manifest(path, INLINE, quiet=True, with_report=False)


def test_a_video_becomes_frames_and_a_video_with_its_sound(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_video(folder / "clip.mp4", moving(4), sound="aac")
    path = manifest(folder, "clip.mp4", more="grid: {temporal_weight: [0, 1000]}\n")
    assert batch(path) == 0
    run = folder / "run"
    assert_whole(run, 8)
    for weight in ("0", "1000"):
        video = run / f"videos/clip__s__temporal_weight-{weight}.mp4"
        assert sound_of(video) == sound_of(source)
        assert times_of(video) == pytest.approx([n / 12 for n in range(4)], abs=1e-3)
    found = records(run)
    clips = [found[f"clip/00000{n}__s__temporal_weight-1000.json"]["clip"] for n in range(1, 5)]
    assert [clip["frame"] for clip in clips] == [1, 2, 3, 4]
    assert clips[0]["flicker"] is None and clips[0]["before"] is None
    assert clips[2]["before"] == "clip/000002__s__temporal_weight-1000"
    assert all(0 < clip["flicker"] < 0.2 and clip["trusted"] > 0.5 for clip in clips[1:])
    losses = found["clip/000003__s__temporal_weight-1000.json"]["losses"]
    assert losses[-1]["temporal"] > 0
    assert found["clip/000001__s__temporal_weight-0.json"]["scales"] == [[48, 37, 3]]
    assert found["clip/000002__s__temporal_weight-0.json"]["scales"] == [[48, 37, 2]]
    assert len(summary(run)["videos"]) == 2
    show_status(run, as_json=False)
    assert "2 videos written: clip__s__temporal_weight-0" in capsys.readouterr().out


def test_frames_are_made_in_order_and_clips_side_by_side(folder: Path) -> None:
    write_frames(folder / "a", moving(3))
    write_frames(folder / "b", moving(3, seed=1))
    assert batch(manifest(folder, "[a/%04d.png, b/%04d.png]")) == 0
    found = records(folder / "run")
    assert_whole(folder / "run", 6)
    numbers = {name: r["batch"]["number"] for name, r in found.items()}
    for clip in ("a", "b"):
        order = [numbers[f"{clip}/000{n}__s.json"] for n in (1, 2, 3)]
        assert order == sorted(set(order))
    assert {r["batch"]["size"] for r in found.values()} == {2}
    assert times_of(folder / "run/videos/a__s.mp4") == pytest.approx([0, 0.04, 0.08], abs=1e-3)


def test_a_frame_goes_on_from_the_result_before(folder: Path) -> None:
    """Over a still content, with nothing but the temporal loss, every frame is the first one's
    result."""
    write_frames(folder / "a", moving(1) * 3)
    settings = SETTINGS.replace("}", ", content_weight: 0, style_weight: 0, neighbor_weight: 0, "
                                "tv_weight: 0, init: noise, temporal_weight: 1}")  # fmt: skip
    assert batch(manifest(folder, "a/%04d.png", settings)) == 0
    first, *others = (
        np.asarray(Image.open(folder / f"run/images/a/000{n}__s.png")).astype(int)
        for n in (1, 2, 3)
    )
    for other in others:
        assert np.abs(other - first).max() <= 1
    assert records(folder / "run")["a/0003__s.json"]["clip"]["flicker"] == pytest.approx(
        0, abs=1e-3
    )


def test_a_run_goes_on_after_the_last_frame_that_is_done(folder: Path) -> None:
    write_frames(folder / "a", moving(4))
    path = manifest(folder, "a/%04d.png")
    assert batch(path) == 0
    run = folder / "run"
    pictures = {p.name: p.read_bytes() for p in (run / "images/a").glob("*.png")}
    for number in (3, 4):
        (run / f"images/a/000{number}__s.json").unlink()
    shutil.rmtree(run / "videos")
    assert batch(path) == 0
    assert (summary(run)["done"], summary(run)["already_done"]) == (2, 2)
    assert {p.name: p.read_bytes() for p in (run / "images/a").glob("*.png")} == pictures
    assert (run / "videos/a__s.mp4").is_file()


def test_a_video_that_is_gone_is_written_again_and_no_other(folder: Path) -> None:
    write_frames(folder / "a", moving(2))
    path = manifest(folder, "a/%04d.png")
    assert batch(path) == 0
    video = folder / "run/videos/a__s.mp4"
    written = video.stat().st_mtime_ns
    assert batch(path) == 0
    assert video.stat().st_mtime_ns == written and summary(folder / "run")["videos"] == []
    video.unlink()
    assert batch(path) == 0
    assert summary(folder / "run")["videos"] == ["a__s"] and video.is_file()
    manifest(folder, "a/%04d.png", SETTINGS.replace("}", ", fps: 10}"))
    assert batch(path) == 0
    assert summary(folder / "run")["done"] == 0
    assert times_of(video) == pytest.approx([0, 0.1], abs=1e-3)


def test_a_changed_frame_makes_the_later_ones_anew(folder: Path) -> None:
    write_frames(folder / "a", moving(4))
    path = manifest(folder, "a/%04d.png")
    assert batch(path) == 0
    Image.fromarray(moving(4)[2] // 2).save(folder / "a/0003.png")
    assert batch(path) == 0
    assert (summary(folder / "run")["done"], summary(folder / "run")["already_done"]) == (2, 2)


def test_a_failed_frame_fails_the_frames_after_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_frames(folder / "a", moving(4))
    write_frames(folder / "b", moving(4))
    broken = folder / "a/0002.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:300])
    path = manifest(folder, "[a/%04d.png, b/%04d.png]")
    assert batch(path) == 1
    run = folder / "run"
    assert_whole(run, 5)
    errors = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    assert [error["name"] for error in errors] == ["a/0002__s", "a/0003__s", "a/0004__s"]
    assert "damaged or truncated" in errors[0]["error"]
    assert all("frame a/0002__s, before it, failed" in error["error"] for error in errors[1:])
    assert not (run / "videos/a__s.mp4").exists() and (run / "videos/b__s.mp4").exists()
    broken.write_bytes(whole)
    assert batch_manifest(path, FAILED_ONLY, quiet=True, with_report=False) == 0
    assert_whole(run, 8)
    assert (run / "videos/a__s.mp4").exists()


def test_frames_of_two_sizes_are_told(folder: Path) -> None:
    write_frames(folder / "a", moving(2))
    Image.fromarray(moving(1, (72, 72))[0]).save(folder / "a/0002.png")
    assert batch(manifest(folder, "a/%04d.png")) == 1
    (line,) = (folder / "run/failures.jsonl").read_text().splitlines()
    assert "would be 48 x 48 px, but the frame before is 48 x 37 px" in json.loads(line)["error"]


def test_only_brightness_is_stylized_where_that_is_wanted(folder: Path) -> None:
    write_frames(folder / "a", moving(3))
    for color in ("preserve_luminance", "original_colors", "preserve_histogram"):
        settings = SETTINGS.replace("}", f", color: {color}}}")
        path = manifest(folder, "a/%04d.png", settings)
        path.write_text(path.read_text().replace("output: run", f"output: {color}"))
        assert batch(path) == 0
        assert_whole(folder / color, 3)


@pytest.mark.parametrize("format", ["jpg", "tiff", "png, depth: 16"])
def test_results_are_read_back_in_every_format(folder: Path, format: str) -> None:
    write_frames(folder / "a", moving(2))
    settings = SETTINGS.replace("}", f", format: {format}, profile: srgb}}")
    assert batch(manifest(folder, "a/%04d.png", settings)) == 0
    clip = records(folder / "run")["a/0002__s.json"]["clip"]
    assert 0 < clip["flicker"] < 0.2
    assert (folder / "run/videos/a__s.mp4").is_file()


def test_two_scales_for_each_frame(folder: Path) -> None:
    write_frames(folder / "a", moving(2))
    settings = "settings: {size: 72, steps: 4, scale_start: 48, clip_steps: [2, 3]}\n"
    assert batch(manifest(folder, "a/%04d.png", settings)) == 0
    found = records(folder / "run")["a/0002__s.json"]
    assert found["scales"] == [[48, 37, 2], [72, 56, 3]]


def test_damaged_videos_are_told_before_anything_runs(folder: Path) -> None:
    write_video(folder / "a.mp4", moving(12, (160, 120), 5))
    data = bytearray((folder / "a.mp4").read_bytes())
    begin = data.index(b"mdat") + 200
    data[begin : begin + 2000] = bytes(2000)
    (folder / "a.mp4").write_bytes(data)
    with pytest.raises(ManifestError, match=r"a\.mp4: not a video that can be read"):
        run_manifest(load_manifest(manifest(folder, "a.mp4")), INLINE, Said())
    assert not list((folder / "cache/clips").glob(".tmp-*"))
    assert not list((folder / "cache/clips").glob("*/*.png"))


@pytest.mark.parametrize("module", ["av", "cv2"])
def test_without_the_extra_one_is_told_before_anything_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    write_frames(folder / "a", moving(2))
    valid = load_manifest(manifest(folder, "a/%04d.png"))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=r"pip install '.\[video\]'"):
        run_manifest(valid, INLINE, Said())


def test_a_video_that_cannot_be_written_is_told_and_the_frames_stay(folder: Path) -> None:
    write_frames(folder / "a", moving(2))
    (folder / "run").mkdir()
    (folder / "run/videos").touch()  # no folder can be there
    said = Said()
    result = run_manifest(load_manifest(manifest(folder, "a/%04d.png")), INLINE, said)
    assert (result.done, result.failed, result.exit_code) == (2, 0, 1)
    assert "a__s" in result.videos_failed
    assert any("no video a__s:" in line and "cannot be written" in line for line in said.lines)
    assert_whole(folder / "run", 2)
