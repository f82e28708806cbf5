"""Addresses in manifests: files, folders, globs, maps, masks; and no secret anywhere."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.address import as_path, secret_of
from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, load_manifest
from pipeline.remote import downloads, put, steady

CONTENT = "memory://data/photos"
FILES = (
    "a.png", "sub/b.png", "sub/deep/c.png", ".hidden/d.png", ".e.png", "notes.txt",
    "run/plan.json", "run/manifest.yaml", "run/images/f.png",
)  # fmt: skip


def store(address: str, data: bytes | None = None, color: str = "red") -> None:
    if data is None:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 6), color).save(buffer, "PNG")
        data = buffer.getvalue()
    put(as_path(address), data)  # type: ignore[arg-type]


@pytest.fixture
def pictures() -> None:
    for name in FILES:
        store(f"{CONTENT}/{name}")
    store("memory://data/styles/wave.png", color="blue")
    store("memory://data/styles/film.mp4", b"film")
    store("memory://data/styles/night.png", color="black")


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Manifest]:
    def load(text: str = "", **keys: Any) -> Manifest:
        whole = {
            "output": str(tmp_path / "run"),
            "style": "memory://data/styles/wave.png",
            "backbone": "lite",
            "settings": {"size": 64},
            **keys,
        }
        if not text:
            return load_manifest(whole)
        (tmp_path / "manifest.yaml").write_text(text)
        return load_manifest(tmp_path / "manifest.yaml")

    return load


def problems(load: Callable[..., Manifest], **keys: Any) -> str:
    with pytest.raises(ManifestError) as told:
        load(**keys)
    return str(told.value)


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("word", "files"),
    [("", ["a.png", "sub/b.png", "sub/deep/c.png"]), ("/*.png", ["a.png"]),
     ("/**/*.png", ["a.png", "sub/b.png", "sub/deep/c.png"]), ("/sub/*", ["sub/b.png"]),
     ("/*/deep/?.png", ["sub/deep/c.png"]), ("/.hidden/*", [".hidden/d.png"]),
     ("/[ab].png", ["a.png"]), ("/.*.png", [".e.png"]), ("/a.png", ["a.png"])],
)  # fmt: skip
def test_folders_and_globs_mean_what_they_mean_on_a_disk(
    manifest: Callable[..., Manifest], tmp_path: Path, word: str, files: list[str]
) -> None:
    found = manifest(content=f"{CONTENT}{word}")
    assert [str(p.path) for p in found.contents] == [f"{CONTENT}/{file}" for file in files]
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path, "PNG")
    here = manifest(content=f"{tmp_path}/photos{word}")
    assert [(p.label, p.file) for p in found.contents] == [(p.label, p.file) for p in here.contents]
    assert found.passed == here.passed


@pytest.mark.usefixtures("pictures")
def test_what_was_passed_over_is_counted(manifest: Callable[..., Manifest]) -> None:
    said = manifest(content=CONTENT).passed
    assert "2 hidden files and folders" in said and "1 run folders" in said and ".txt 1" in said


@pytest.mark.usefixtures("pictures")
def test_no_picture_of_a_folder_is_fetched_for_a_manifest(
    manifest: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    plain = downloads.download
    monkeypatch.setattr(
        downloads, "download", lambda at, *rest: (seen.append(str(at)), plain(at, *rest))
    )
    manifest(content=CONTENT)
    assert seen == ["memory://data/styles/wave.png"]


@pytest.mark.usefixtures("pictures")
def test_the_runs_own_pictures_are_left_out(manifest: Callable[..., Manifest]) -> None:
    for name in ("one", "two"):
        store(f"{CONTENT}/sub/out/images/{name}.png")
    found = manifest(content=CONTENT, output=f"{CONTENT}/sub/out")
    assert [picture.file for picture in found.contents] == ["a.png", "sub/b.png", "sub/deep/c.png"]
    said = problems(manifest, content=f"{CONTENT}/sub/out/images", output=f"{CONTENT}/sub/out")
    assert "lies where the run's own pictures go" in said


@pytest.mark.usefixtures("pictures")
def test_styles_blends_masks_maps_and_first_pictures(
    manifest: Callable[..., Manifest],
) -> None:
    store(f"{CONTENT}/a_mask.png")
    store("memory://data/pairs.csv", b"content,style,mask\nphotos/a.png,styles/night.png,\n"
          b"memory://data/photos/sub/b.png,dusk,photos/a_mask.png\n")  # fmt: skip
    blend = {"memory://data/styles/wave.png": 1, "memory://data/styles/night.png": 3}
    found = manifest(
        content=[], style=[{"name": "dusk", "blend": blend}], pairs="memory://data/pairs.csv",
        settings={"size": 64, "init": f"{CONTENT}/a.png"},
    )  # fmt: skip
    assert [str(p.path) for p in found.contents] == [f"{CONTENT}/a.png", f"{CONTENT}/sub/b.png"]
    assert str(found.contents[1].mask) == f"{CONTENT}/a_mask.png"
    assert [weight for _, weight in found.styles[0].parts] == [0.25, 0.75]
    assert found.settings["init"] == f"{CONTENT}/a.png"
    masked = manifest(content=f"{CONTENT}/a.png", masks={"content": "{stem}_mask.png"})
    assert str(masked.contents[0].mask) == f"{CONTENT}/a_mask.png"
    said = problems(manifest, content=f"{CONTENT}/sub", masks={"content": "{stem}_mask.png"})
    assert f"no such mask: {CONTENT}/sub/b_mask.png" in said


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("keys", "words"),
    [({"content": f"{CONTENT}/none.png"}, "none.png: no such file or folder"),
     ({"content": f"{CONTENT}/*.webp"}, "no picture there"),
     ({"content": "memory://*/a.png"}, "name the bucket"),
     ({"content": f"{CONTENT}/notes.txt", "style": "memory://data/none.png"}, "none.png: no such"),
     ({"content": "https://host/*.png"}, "a glob cannot be looked for on the web"),
     ({"content": f"{CONTENT}/%04d.png"}, "clips are read from local disks"),
     ({"content": f"{CONTENT}/film.mp4"}, "clips are read from local disks"),
     *(({"content": f"memory://sets/{name}"}, "data sets are read from local disks; copy it to one")
       for name in ("a-000000.tar", "*.tar", "{000..003}.tar", "a.parquet", "a.arrow")),
     ({"content": CONTENT, "style": "memory://data/styles/film.mp4"}, "videos are read from local"),
     ({"content": CONTENT, "output": "https://host/run"}, "is only read"),
     ({"content": CONTENT, "output": "hf://datasets/me/run"}, "is only read"),
     ({"content": CONTENT, "backbone": {"name": "lite", "weights": "s3://b/w.pth"}},
      "weights are read from local disks"),
     ({"content": CONTENT, "style": [{"name": "x", "blend": {"memory://data/no.png": 1}}]},
      "no.png: no such file")],
)  # fmt: skip
def test_what_is_wrong_is_told(
    manifest: Callable[..., Manifest], keys: dict[str, Any], words: str
) -> None:
    assert words in problems(manifest, **keys)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("output: ftp://x/y\ncontent: c.png\nstyle: s.png\n", 1, "ftp:// is no storage"),
        ("output: s4://b/x\ncontent: c.png\nstyle: s.png\n", 1, "known are s3://, gs://"),
        ("output: s3://\ncontent: c.png\nstyle: s.png\n", 1, "s3:// names no bucket or host"),
        ("output: r\ncontent: [c.png, ftp://h/a.jpg]\nstyle: s.png\n", 2, "ftp:// is no storage"),
        ("output: r\ncontent: c.png\nstyle: {blend: {sftp://h/a.jpg: 1}}\n", 3, "sftp:// is no"),
    ],
)
def test_what_only_looks_like_an_address_is_no_local_path(
    text: str, line: int, said: str, tmp_path: Path
) -> None:
    for name in ("c.png", "s.png"):
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    (tmp_path / "m.yaml").write_text(text + "backbone: lite\n")
    with pytest.raises(ManifestError) as raised:
        load_manifest(tmp_path / "m.yaml")
    (problem,) = raised.value.problems
    assert f"m.yaml:{line}: " in problem and said in problem


def test_a_storage_that_refuses_is_told_once_with_its_line(
    manifest: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    monkeypatch.setattr(steady.time, "sleep", lambda _: pytest.fail("tried again"))
    said = problems(manifest, content=CONTENT)
    assert f"content[0]: {CONTENT}: refused: Access Denied; check credentials and rights" in said


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("missing", [{}, {"missing": "whole"}])
def test_a_mask_whose_storage_is_not_reached_is_no_missing_one(
    manifest: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch, missing: dict[str, str]
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    asked: list[str] = []
    plain = MemoryFileSystem.info

    def breaks(self: Any, path: str, **rest: Any) -> Any:
        if "masks" in path:
            asked.append(path)
            raise ConnectionError("reset by peer")
        return plain(self, path, **rest)

    monkeypatch.setattr(MemoryFileSystem, "info", breaks)
    monkeypatch.setattr(steady.time, "sleep", lambda _: None)
    masks = {"content": "memory://masks/{stem}.png", **missing}
    said = problems(manifest, content=CONTENT, masks=masks)
    assert "memory://masks/a.png: not reached in 4 tries: reset by peer" in said
    assert "no such mask" not in said and len(asked) == 4  # of the first picture's alone
    pairs = [{"content": f"{CONTENT}/a.png", "style": "memory://data/styles/wave.png",
              "mask": "memory://masks/b.png"}]  # fmt: skip
    said = problems(manifest, content=[], style=[], pairs=pairs)
    assert "memory://masks/b.png: not reached in 4 tries" in said


@pytest.mark.usefixtures("pictures")
def test_clips_want_a_local_run_folder(manifest: Callable[..., Manifest], tmp_path: Path) -> None:
    for number in (1, 2):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{number}.png")
    said = problems(manifest, content=f"{tmp_path}/%d.png", output="memory://data/out")
    assert "memory://data/out does not go with clips" in said


@pytest.mark.usefixtures("pictures")
def test_secrets_of_a_manifest_are_in_nothing_that_is_kept(
    manifest: Callable[..., Manifest],
) -> None:
    text = """
output: memory://me:topsecret@data/out  # and s3://OTHER:alsosecret@bucket in a comment
content: ["memory://me:topsecret@data/photos", memory://me:topsecret@data/photos/a.png]
style:
  - {name: dusk, blend: {"memory://me:topsecret@data/styles/wave.png": 1}}
pairs: [["memory://me:topsecret@data/photos/a.png", dusk]]
backbone: lite
settings: {size: 64}
"""
    found = manifest(text)
    for kept in (repr(found), found.text):
        assert "topsecret" not in kept and "alsosecret" not in kept
    assert str(found.output) == "memory://data/out"
    assert secret_of(as_path("memory://data/out"))[0] == "me:topsecret"  # type: ignore[arg-type]
    assert "output: memory://data/out" in found.text and "s3://bucket in a comment" in found.text


@pytest.mark.usefixtures("pictures")
def test_secrets_of_a_manifest_are_in_no_message(
    manifest: Callable[..., Manifest], tmp_path: Path
) -> None:
    word = "memory://me:topsecret@data/none"
    signed = "https://host/{}.png?sign=topsecret"
    keys: list[dict[str, Any]] = [
        {"content": word}, {"content": CONTENT, "style": word}, {"pairs": [[word, word]]},
        {"content": signed.format("*")}, {"content": CONTENT, "pairs": word},
        {"content": CONTENT, "masks": {"content": word}}, {"content": CONTENT, "pairing": word},
        {"content": CONTENT, "settings": {"size": word}}, {"content": CONTENT, word: 1},
        {"content": CONTENT, "settings": {"init": word}}, {"content": CONTENT, "backbone": word},
        {"content": CONTENT, "style": [{"name": "a", "blend": {word: -1}}]},
    ]  # fmt: skip
    for wrong in keys:
        assert "topsecret" not in problems(manifest, **wrong), wrong
    for name, rows in (("a.csv", f"content,style\n{word},{word}\n"), ("b.csv", f"content,{word}\n"),
                       ("c.json", f'[{{"content": "{word}", "style": "{word}"}}]')):  # fmt: skip
        (tmp_path / name).write_text(rows)
        assert "topsecret" not in problems(manifest, content=[], pairs=str(tmp_path / name)), name


def test_addresses_that_differ_only_in_their_query_are_refused(
    manifest: Callable[..., Manifest],
) -> None:
    said = problems(manifest, content=["https://host/get?id=1", "https://host/get?id=2"])
    assert "https://host/get: stands twice" in said and "id=" not in said
