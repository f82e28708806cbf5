"""Clips among the contents."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import moving, write_frames, write_video

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, load_manifest

HEAD = "output: run\nstyle: s.png\nbackbone: lite\n"


@pytest.fixture
def load(tmp_path: Path, picture: Callable[..., Path]) -> Callable[[str], Manifest]:
    picture("s.png", 1)

    def load(text: str) -> Manifest:
        (tmp_path / "m.yaml").write_text(HEAD + text)
        return load_manifest(tmp_path / "m.yaml")

    return load


Load = Callable[[str], Manifest]


def names(manifest: Manifest) -> list[list[str]]:
    return [[frame.path.name for frame in content.frames] for content in manifest.contents]


def test_numbered_pictures_are_one_clip_in_order(tmp_path: Path, load: Load) -> None:
    write_frames(tmp_path / "frames", moving(11), "{}.png")
    write_frames(tmp_path / "shots", moving(3), "shot_{:03}.png")
    (tmp_path / "shots/shot_001_mask.png").touch()
    found = load("content: [frames/%d.png, shots/shot_%03d.png]\n")
    assert names(found)[0] == [f"{n}.png" for n in range(1, 12)]
    assert names(found)[1] == ["shot_001.png", "shot_002.png", "shot_003.png"]
    assert [content.label for content in found.contents] == ["frames", "shot"]


def test_clips_may_stand_in_pairs(tmp_path: Path, load: Load) -> None:
    write_frames(tmp_path / "frames", moving(2))
    found = load("pairs: [[frames/%04d.png, s.png]]\n")
    assert names(found) == [["0001.png", "0002.png"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("frames/%03d.jpg", "no picture with such a number there"),
        ("none/%04d.png", "none: cannot be read (No such file or directory)"),
        ("frames/%04d_%04d.png", "is one clip; name each clip by itself"),
        ("fr*/%04d.png", "is one clip; name each clip by itself"),
        ("gap/%04d.png", "number 2 is missing after 0001.png; add it"),
        ("broken/%04d.png", "0001.png: not a picture that can be read"),
        ("clips/*.mp4", "no video there; check the pattern"),
    ],
)
def test_what_is_wrong_is_told_once(tmp_path: Path, load: Load, content: str, said: str) -> None:
    write_frames(tmp_path / "frames", moving(1))
    write_frames(tmp_path / "gap", moving(3))
    (tmp_path / "gap/0002.png").unlink()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/0001.png").write_text("no picture")
    with pytest.raises(ManifestError) as error:
        load(f"content: {content}\n")
    assert len(error.value.problems) == 1
    assert ":4: content[0]" in error.value.problems[0] and said in error.value.problems[0]


def test_of_numbered_pictures_each_has_its_own_mask(tmp_path: Path, load: Load) -> None:
    write_frames(tmp_path / "frames", moving(2))
    masked = "content: frames/%04d.png\nmasks: {content: '{stem}_mask.png'}\n"
    with pytest.raises(ManifestError, match=r"no such mask: .*0001_mask\.png, .*0002_mask\.png;"):
        load(masked)
    write_frames(tmp_path / "frames", moving(2), "{:04}_mask.png")
    (found,) = load(masked).contents
    assert [f.mask and f.mask.name for f in found.frames] == ["0001_mask.png", "0002_mask.png"]


def test_a_pairs_own_mask_is_that_of_all_frames(
    tmp_path: Path, load: Load, picture: Callable[..., Path]
) -> None:
    write_frames(tmp_path / "frames", moving(2))
    mask = picture("mask.png")
    text = "pairs: [{content: frames/%04d.png, style: s.png, mask: mask.png}]\n"
    (found,) = load(text).contents
    assert [frame.mask for frame in found.frames] == [mask, mask]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("output: {path: run, format: webdataset}\n", "webdataset does not go with clips"),
        ("settings: {depth: 16, format: tiff}\n", "depth 16 with format tiff does not go"),
        ("settings: {depth: 16}\ngrid: {format: [png, tiff]}\n", "depth 16 with format tiff"),
    ],
)
def test_results_have_to_be_files_that_can_be_read_back(
    tmp_path: Path, load: Load, more: str, said: str
) -> None:
    write_frames(tmp_path / "frames", moving(2))
    text = f"content: frames/%04d.png\n{more}"
    (tmp_path / "m.yaml").write_text(
        (HEAD if "output" not in more else HEAD.replace("output: run\n", "")) + text
    )
    with pytest.raises(ManifestError, match=said):
        load_manifest(tmp_path / "m.yaml")


def test_videos_are_found_by_name_and_by_their_glob_alone(
    tmp_path: Path, load: Load, picture: Callable[..., Path]
) -> None:
    pytest.importorskip("av")
    picture("media/a.png")
    for name in ("media/one.mp4", "media/deep/two.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / name, moving(2))
    assert [c.label for c in load("content: media\n").contents] == ["a"]
    found = load("content: media/**/*.mp4\n").contents
    assert [c.label for c in found] == ["deep/two", "one"]
    assert all(c.clip is not None and not c.frames for c in found)
    with pytest.raises(ManifestError, match=r"pairs\[0\]\[1\].*: a video is a clip, for `content`"):
        load("content: media\npairs: [[media/a.png, media/one.mp4]]\n")


def test_a_video_without_the_extra_is_one_error_of_the_manifest(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mp4").touch()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ManifestError, match=r":4: content\[0\].*pip install '.\[video\]'"):
        load("content: a.mp4\n")
