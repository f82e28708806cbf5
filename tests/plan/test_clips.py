"""Videos decoded into the cache, and the jobs of their frames."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import moving, write_frames, write_video
from PIL import Image

from pipeline.errors import RunFolderError
from pipeline.manifest import Manifest, Settings, load_manifest
from pipeline.plan import Plan, with_frames

HEAD = "output: run\nstyle: [s.png, t.png]\nbackbone: lite\n"


@pytest.fixture
def load(tmp_path: Path, picture: Callable[..., Path]) -> Callable[[str], Manifest]:
    picture("s.png", 1)
    picture("t.png", 2)

    def load(text: str) -> Manifest:
        (tmp_path / "m.yaml").write_text(HEAD + text)
        return load_manifest(tmp_path / "m.yaml")

    return load


Load = Callable[[str], Manifest]


def keys(manifest: Manifest) -> dict[str, str]:
    return {job.name: job.key for job in Plan(manifest, lambda s: "", 1).jobs()}


def test_a_video_is_decoded_once(tmp_path: Path, load: Load) -> None:
    pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", moving(3))
    manifest, said, cache = load("content: a.mp4\n"), [], tmp_path / "cache"
    decoded = with_frames(manifest, cache, said.append)
    assert len(said) == 1 and "a.mp4: decoding" in said[0]
    (folder,) = (path for path in (cache / "clips").iterdir() if path.is_dir())
    assert [f.path for f in decoded.contents[0].frames] == sorted(folder.glob("*.png"))
    again = with_frames(manifest, cache, said.append)
    assert len(said) == 1 and again == decoded
    (folder / "000002.png").unlink()
    assert with_frames(manifest, cache, said.append) == decoded and len(said) == 2
    (folder / "clip.json").write_text("{}")
    assert with_frames(manifest, cache, said.append) == decoded and len(said) == 3
    assert not list((cache / "clips").glob(".tmp-*"))


def test_keys_do_not_depend_on_how_the_cache_packed_frames(tmp_path: Path, load: Load) -> None:
    pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", moving(2))
    manifest = with_frames(load("content: a.mp4\n"), tmp_path / "cache", lambda said: None)
    before = keys(manifest)
    path = manifest.contents[0].frames[1].path
    Image.open(path).save(path, compress_level=9)
    assert keys(manifest) == before


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, load: Load) -> None:
    pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", moving(2))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/clips").touch()
    with pytest.raises(RunFolderError, match="cannot be written"):
        with_frames(load("content: a.mp4\n"), tmp_path / "cache", lambda said: None)


def test_each_chain_is_one_run_of_frames(tmp_path: Path, load: Load) -> None:
    write_frames(tmp_path / "f", moving(3))
    plan = Plan(load("content: [f/%04d.png, s.png]\ngrid: {seed: [0, 1]}\n"), lambda s: "", 1)
    jobs = list(plan.jobs())
    assert len(jobs) == len(plan) == 2 * 2 * 3 + 2 * 2
    assert [job.index for job in jobs] == list(range(16))
    assert [job.name for job in jobs[:4]] == [
        "f/0001__s__seed-0", "f/0002__s__seed-0", "f/0003__s__seed-0", "f/0001__s__seed-1"
    ]  # fmt: skip
    places = [job.place for job in jobs[:3]]
    assert all(p is not None and p.chain == "f__s__seed-0" and p.count == 3 for p in places)
    assert [job.before and job.before.key for job in jobs[:3]] == [None, jobs[0].key, jobs[1].key]
    assert len({p.first_key for p in places if p}) == 1
    assert jobs[-1].place is None and jobs[-1].name == "s.png__t__seed-1"


@pytest.mark.parametrize("pairing", ["product", "zip", "{sample: 1}"])
def test_jobs_are_counted_before_they_are_made(tmp_path: Path, load: Load, pairing: str) -> None:
    write_frames(tmp_path / "f", moving(3))
    manifest = load(
        f"content: [f/%04d.png, s.png]\npairing: {pairing}\npairs: [[f/%04d.png, s.png]]\n"
    )
    plan = Plan(manifest, lambda s: "", 1)
    assert len(list(plan.jobs())) == len(plan)


def test_a_frame_changes_the_keys_of_those_after_it(tmp_path: Path, load: Load) -> None:
    write_frames(tmp_path / "f", moving(4))
    before = keys(load("content: f/%04d.png\n"))
    shutil.copy(tmp_path / "f/0001.png", tmp_path / "f/0003.png")
    after = keys(load("content: f/%04d.png\n"))
    assert {name for name in before if before[name] != after[name]} == {
        f"f/000{n}__{style}" for n in (3, 4) for style in "st"
    }


@pytest.mark.parametrize("setting", ["temporal_weight: 3", "clip_steps: 3", "flow: raft"])
def test_settings_of_clips_change_keys_of_later_frames_alone(
    tmp_path: Path, load: Load, setting: str
) -> None:
    write_frames(tmp_path / "f", moving(2))
    content = "content: [f/%04d.png, s.png]\n"
    before, after = keys(load(content)), keys(load(f"{content}settings: {{{setting}}}\n"))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"f/0002__s", "f/0002__t"}


def test_settings_that_decide_frames_are_not_among_the_others() -> None:
    deciding = Settings().deciding_pixels()
    assert not deciding.keys() & Settings().deciding_frames().keys() and "fps" not in deciding


def test_a_clip_and_a_folder_of_one_name_stay_apart(
    tmp_path: Path, load: Load, picture: Callable[..., Path]
) -> None:
    write_frames(tmp_path / "f", moving(2))
    picture("town/f/0001.png")
    found = keys(load("content: [f/%04d.png, town]\n"))
    assert len(found) == 2 * 3 and len({name.casefold() for name in found}) == 6
    assert {"f/0001__s", "f/0001.png__s"} <= found.keys()


def test_frames_keep_their_clips_shape(tmp_path: Path, load: Load) -> None:
    write_frames(tmp_path / "f", moving(2))
    manifest = load("content: [f/%04d.png, s.png]\nsettings: {size: 128}\n")
    jobs = Plan(manifest, lambda s: "", 1).jobs()
    assert {(job.place is None, job.settings.side_step) for job in jobs} == {(True, 16), (False, 1)}
