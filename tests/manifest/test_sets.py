"""Data sets as content: ranges and globs, names, what is wrong."""

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, load_manifest, sets
from pipeline.manifest.contents import Contents, SetPictures
from pipeline.plan import Plan


def shard(path: Path, names: list[str], **others: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(data, "JPEG")
    with tarfile.open(path, "w") as tar:
        for name in names:
            for suffix, content in {"jpg": data.getvalue(), **others}.items():
                info = tarfile.TarInfo(f"{name}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def begin_of(path: Path, name: str) -> int:
    """Where an entry of a tar begins."""
    with tarfile.open(path) as tar:
        return tar.getmember(name).offset


@pytest.fixture
def load(tmp_path: Path, picture: Callable[..., Path]) -> Callable[..., Manifest]:
    picture("s.png")

    def read(content: str, more: str = "") -> Manifest:
        text = f"output: run\ncontent: {content}\nstyle: s.png\nbackbone: lite\n{more}"
        (tmp_path / "m.yaml").write_text(text)
        return load_manifest(tmp_path / "m.yaml")

    return read


def names(manifest: Manifest) -> list[str]:
    return list(Plan(manifest, lambda settings: "", 1).names())


def test_ranges_globs_and_files_are_read_in_order(
    tmp_path: Path, load: Callable[..., Manifest]
) -> None:
    for number in (2, 0, 1):
        shard(tmp_path / f"shards/train-{number:03}.tar", [f"k{number}a", f"k{number}b"], cls=b"5")
    ranged = load('"shards/train-{000..001}.tar"')
    assert [picture.file for picture in ranged.contents] == [
        f"train/5/k{n}{letter}.jpg" for n in (0, 1) for letter in "ab"
    ]
    globbed = load("['shards/*.tar', 'shards/train-000.tar']")
    assert len(globbed.contents) == 6
    assert names(globbed)[0] == "train/5/k0a.jpg__s"
    assert globbed.contents[0].path == tmp_path / "shards/train-000.tar/k0a.jpg"
    assert globbed.contents[-1] == globbed.contents[5] == list(globbed.contents)[5]


def test_keys_of_two_shards_stay_apart(tmp_path: Path, load: Callable[..., Manifest]) -> None:
    for number in range(2):
        shard(tmp_path / f"{number}.tar", ["000", "001"])
    found = names(load('"{0..1}.tar"'))
    assert len(set(found)) == 4 and found[0] == "000.jpg__s"


def test_one_picture_of_a_shard_makes_a_pair(tmp_path: Path, load: Callable[..., Manifest]) -> None:
    shard(tmp_path / "a.tar", ["x", "y"])
    (tmp_path / "m2.yaml").write_text(
        "output: run\nbackbone: lite\npairs: [[a.tar/y.jpg, s.png]]\n"
    )
    load('"a.tar"')
    assert names(load_manifest(tmp_path / "m2.yaml")) == ["y.jpg__s"]


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("a.tar", "pairs: [[a.tar/x.jpg, s.png]]\n"),
        ("[a.tar, a.tar/x.jpg]", ""),
        ("[a.tar/x.jpg, a.tar]", ""),
        ("[a.tar/x.jpg, a.tar, a.tar]", "pairs: [[a.tar, s.png]]\n"),
        ("a.tar", "pairs: [{content: a.tar/x.jpg, style: s.png, label: x}]\n"),
    ],
)
def test_a_picture_that_is_named_twice_is_made_once(
    tmp_path: Path, load: Callable[..., Manifest], content: str, more: str
) -> None:
    shard(tmp_path / "a.tar", ["x", "y", "z"])
    assert sorted(names(load(content, more))) == ["x.jpg__s", "y.jpg__s", "z.jpg__s"]


def test_a_picture_of_a_set_under_another_label_or_with_keep_is_another(
    tmp_path: Path, load: Callable[..., Manifest], picture: Callable[..., Path]
) -> None:
    picture("k.png")
    shard(tmp_path / "a.tar", ["x", "y"])
    for more in ("label: other", "keep: k.png"):
        pair = f"pairs: [{{content: a.tar/x.jpg, style: s.png, {more}}}]\n"
        assert len(load("a.tar", pair).contents) == 3


@pytest.mark.parametrize("member", ["a", "cat/a"])
@pytest.mark.parametrize("key", ["content", "keep"])
def test_masks_of_a_data_sets_pictures_lie_beside_it(
    tmp_path: Path,
    load: Callable[..., Manifest],
    picture: Callable[..., Path],
    member: str,
    key: str,
) -> None:
    """As the data set were a folder; one that leads into it is refused with the way out."""
    shard(tmp_path / "sets/a.tar", [member])
    mask = picture("masks/a.png")
    with pytest.raises(ManifestError, match="is not looked for within a data set") as caught:
        load("sets/a.tar", f"masks: {{{key}: '{{stem}}_mask.png'}}\n")
    way = str(caught.value).split("such as ")[1].splitlines()[0]
    assert way == ("../../masks/{stem}.png" if "/" in member else "../masks/{stem}.png")
    (tmp_path / "sets").rename(tmp_path / "here")
    (tmp_path / "here/a.tar").rename(tmp_path / "a.tar")
    (found,) = load("a.tar", f"masks: {{{key}: '{way}'}}\n").contents
    assert (found.mask or found.keep) == mask
    whole = load("a.tar", f"masks: {{{key}: '{{stem}}.png', missing: whole}}\n")
    assert not whole.contents[0].mask and [w.code for w in whole.warnings] == ["unpaired_mask"]


def test_samples_without_a_picture_are_counted(
    tmp_path: Path, load: Callable[..., Manifest]
) -> None:
    path = shard(tmp_path / "a.tar", ["x"])
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo("only.txt"), io.BytesIO())
    assert load('"a.tar"').passed == "1 samples of data sets without a picture"


def test_a_cut_shard_is_a_warning(tmp_path: Path, load: Callable[..., Manifest]) -> None:
    path = shard(tmp_path / "a.tar", ["x", "y", "z"], cls=b"3")
    whole = names(load('"a.tar"'))
    cut = begin_of(path, "y.cls")
    with path.open("r+b") as file:
        file.truncate(cut)
    manifest = load('"a.tar"')
    assert [warning.code for warning in manifest.warnings] == ["cut_shard"]
    assert names(manifest) == whole[:1]  # y would have been without its class
    with path.open("r+b") as file:
        file.truncate(512)
    with pytest.raises(ManifestError, match="no picture in it that is whole"):
        load('"a.tar"')


@pytest.mark.parametrize("content", ["[0.tar, 1.tar]", "[0.tar/000.jpg, 1.tar]", "[0.tar, loose]"])
def test_names_do_not_depend_on_what_a_cut_shard_lacks(
    tmp_path: Path, load: Callable[..., Manifest], picture: Callable[..., Path], content: str
) -> None:
    """The later shard's `001` is called otherwise as long as the first one's is there."""
    for number in range(2):
        shard(tmp_path / f"{number}.tar", ["000", "001", "002"])
    picture("loose/000.jpg")
    load(content)
    cut = begin_of(tmp_path / "0.tar", "001.jpg")
    with (tmp_path / "0.tar").open("r+b") as file:
        file.truncate(cut + 600)
    with pytest.raises(ManifestError, match=r"0.tar: damaged or cut short, and .*000.jpg bears"):
        load(content)
    assert names(load("[1.tar, 0.tar]"))[-1].startswith("000~")


def test_pictures_of_one_name_in_a_shard_are_each_made(
    tmp_path: Path, load: Callable[..., Manifest]
) -> None:
    shard(tmp_path / "a.tar", ["x", "y", "x"], cls=b"3")
    assert names(load("a.tar")) == ["3/x.jpg__s", "3/y.jpg__s", "3/x~2.jpg__s"]
    assert names(load("a.tar/x~2.jpg")) == ["3/x~2.jpg__s"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('"a-{3..1}.tar"', "a range goes up"),
        ('"a-{0..2}.tar"', "a-2.tar: no such file; check the range {0..2}"),
        ('"a-{0..9}.tar"', "and 7 more"),
        ('"{0..1}-{0..1}.tar"', "several ranges"),
        ('"none-*.tar"', "no data set there"),
        ('"b.tar"', "b.tar: no such file"),
        ('"run/shards/*.tar"', "lies where the run's own pictures go"),
        ('"empty.tar"', "no picture in it"),
        ('"bad.tar"', "no tar shard that can be read"),
        ('"a-0.tar/z.jpg"', "no such picture in the data set"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, load: Callable[..., Manifest], content: str, said: str
) -> None:
    for name in ("a-0.tar", "a-1.tar", "run/shards/000000.tar"):
        shard(tmp_path / name, ["x"])
    shard(tmp_path / "empty.tar", [])
    (tmp_path / "bad.tar").write_bytes(b"bad" * 600)
    with pytest.raises(ManifestError) as caught:
        load(content)
    assert said in str(caught.value) and "m.yaml:2" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("'shards/{train,val}-{000..001}.tar'", "braces with commas are not read"),
        ("'shards/{train,val}.tar'", "braces with commas are not read"),
        ("shards", "data sets are named as files: shards/*.tar"),
    ],
)
def test_how_sets_are_named_is_told(
    content: str, said: str, tmp_path: Path, load: Callable[..., Manifest]
) -> None:
    shard(tmp_path / "shards/train-000.tar", ["a"])
    with pytest.raises(ManifestError, match=re.escape(said)):
        load(content)


def test_a_closed_folder_is_told(
    tmp_path: Path, load: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shut").mkdir()

    def shut(*_: object) -> object:
        raise PermissionError(13, "Permission denied", "shut")

    monkeypatch.setattr("pipeline.manifest.sets.walk", shut)
    with pytest.raises(ManifestError, match="shut: cannot be read"):
        load('"shut/*.tar"')


def test_any_number_of_pictures_in_little_memory() -> None:
    pictures = SetPictures(Path("/data/train-000.tar"))
    for number in range(1000):
        pictures.add(f"{number:09}.jpg", f"train/{number % 10}/{number:09}.jpg")
    contents = Contents()
    contents.append_set(pictures)
    contents.append_set(SetPictures(Path("/data/empty.tar")))
    assert len(contents) == 1000
    assert contents[999].label == "train/9/000000999"
    assert [picture.file for picture in contents[3:5]] == [
        "train/3/000000003.jpg",
        "train/4/000000004.jpg",
    ]
    with pytest.raises(IndexError):
        contents[1000]


def test_a_map_names_pictures_of_a_shard_which_is_looked_through_once(
    tmp_path: Path, load: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(tmp_path / "a.tar", ["x", "y", "z"])
    load('"a.tar"')
    looked = []
    found = sets.set_members
    monkeypatch.setattr(sets, "set_members", lambda path: looked.append(path) or found(path))
    (tmp_path / "pairs.csv").write_text("content,style\na.tar/z.jpg,s.png\na.tar/x.jpg,s.png\n")
    (tmp_path / "m2.yaml").write_text("output: run\nbackbone: lite\npairs: pairs.csv\n")
    assert names(load_manifest(tmp_path / "m2.yaml")) == ["z.jpg__s", "x.jpg__s"]
    assert looked == [tmp_path / "a.tar"]
