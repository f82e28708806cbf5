"""Maps as other programs write them: read where there is no doubt, else refused with the line."""

import codecs
import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, load_manifest

PLAIN = "content,style,label\nc/1.png,s/a.png,x/1\nc/2.png,s/b.png,x/2\n"


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for number, name in enumerate(("c/1.png", "c/2.png", "s/a.png", "s/b.png")):
        picture(name, number)
    return tmp_path


def load(folder: Path, data: bytes, name: str = "map.csv") -> Manifest:
    (folder / name).write_bytes(data)
    (folder / "m.yaml").write_text(f"output: run\nbackbone: lite\npairs: {name}\n")
    return load_manifest(folder / "m.yaml")


def pairs(manifest: Manifest) -> list[tuple[str, str, str]]:
    return [
        (
            manifest.contents[pair.content].path.name,
            manifest.styles[pair.style].label,
            manifest.contents[pair.content].label,
        )
        for pair in manifest.pairs
    ]


SAME = {
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "semicolons as Excel says them": "sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
    "capitals": PLAIN.replace("content,style,label", "Content,STYLE,Label"),
    "blanks after commas": PLAIN.replace(",", ", "),
    "blanks everywhere": PLAIN.replace(",", " , ").replace("\n", " \n"),
    "backslashes": PLAIN.replace("c/", "c\\").replace("s/", "s\\"),
    "blank rows": "\n" + PLAIN.replace("\nc/2", "\n\n,,\n  \n , ,\nc/2") + "\n\n",
    "blank cells more": PLAIN.replace("x/1", "x/1,,"),
    "old Macs' line ends": PLAIN.replace("\n", "\r"),
    "pandas' index": ",content,style,label\n0,c/1.png,s/a.png,x/1\n1,c/2.png,s/b.png,x/2\n",
    "quotes": '"content", "style", "label"\n"c/1.png", "s/a.png", "x/1"\nc/2.png,"s/b.png",x/2\n',
    "a setting in capitals": PLAIN.replace("label", "label,STEPS").replace("x/1", "x/1,3")
    .replace("x/2", "x/2,"),
}  # fmt: skip


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
    ],
)
def test_maps_of_other_programs_are_the_same(
    folder: Path, text: str, encoding: str, mark: bytes
) -> None:
    manifest = load(folder, mark + text.encode(encoding))
    assert pairs(manifest) == [("1.png", "a", "x/1"), ("2.png", "b", "x/2")]


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("café.png", "cp1252"),
        ("żółw.png", "cp1250"),
        ("город.png", "cp1251"),
        ("写真.png", "cp932"),
        ("été.png", "cp850"),
    ],
)
def test_an_encoding_of_windows_is_told_by_the_files(
    folder: Path, picture: Callable[..., Path], name: str, encoding: str
) -> None:
    picture(f"c/{name}")
    text = f"content;style;label\nc/{name};s/a.png;{name[0]}\nc/1.png;s/b.png;x\n"
    assert pairs(load(folder, text.encode(encoding))) == [
        (name, "a", name[0]), ("1.png", "b", "x")
    ]  # fmt: skip
    rows = [{"Content": f"c/{name}", "style": "s/a.png", " label": name[0]}]
    data = json.dumps(rows, ensure_ascii=False).encode(encoding)
    assert pairs(load(folder, data, "map.json")) == [(name, "a", name[0])]


def test_names_that_are_not_utf8_are_the_files_own(
    folder: Path, picture: Callable[..., Path]
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (folder / "c/1.png").rename(folder / "c" / name)
    assert pairs(load(folder, b"content,style\nc/caf\xe9.png,s/a.png\n"))[0][0] == name


@pytest.mark.parametrize(("listed", "there"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_may_be_one_sign_or_two(
    folder: Path, picture: Callable[..., Path], listed: str, there: str
) -> None:
    def form(kind: str, text: str) -> str:
        return unicodedata.normalize(kind, text)  # type: ignore[arg-type]

    for name in ("c/é/ü.png", "s/ö.png", "c/é/ü_mask.png"):
        picture(form(there, name))
    text = "content,style,mask\nc\\é\\ü.png,s/ö.png,c/é/ü_mask.png\n"
    manifest = load(folder, form(listed, text).encode())
    ((name, style, _),) = pairs(manifest)
    assert (name, style) == (form(there, "ü.png"), form(there, "ö"))
    assert manifest.contents[0].mask == folder / form(there, "c/é/ü_mask.png")


def test_a_name_that_is_there_as_it_is_spelled_is_meant(
    folder: Path, picture: Callable[..., Path]
) -> None:
    picture("c\\1.png")
    assert load(folder, b"content,style\nc\\1.png,s/a.png\n").contents[0].path.parent == folder
    assert len(load(folder, b"content,style\nc\\*.png,s/a.png\n").pairs) == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "map.csv:1: is empty; its first line must name content and style"),
        (
            b"content style\nx y\n",
            "map.csv:1: has no column content and no column style (seen: con",
        ),
        (b"content;styl\nx;y\n", "map.csv:1: has no column style (seen: content, styl)"),
        (b"content,Content,style\nx,y,z\n", "map.csv:1: column content stands twice"),
        (b"content,style\nc/1.png\n", "map.csv:2: has not as many cells as the first line, 1 and"),
        (b"content,style\n\nc/1.png,s/a.png,x\n", "map.csv:3: has not as many cells as the first"),
        (
            b"content,style,\nc/1.png,s/a.png,x\n",
            "map.csv:2: 'x' stands in a column without a name",
        ),
        (
            b'content,style\n"c/1.png,s/a.png\nx,y",\n',
            "map.csv:2: content has several lines; a quo",
        ),
        (b"content,style,steps\nc/1.png,s/a.png,[1\n", "map.csv:2: steps: '[1': not a value as in"),
        (
            b"content;style;style_weight\nc/1.png;s/a.png;1,5\n",
            "map.csv:2: settings.style_weight: ",
        ),
        (
            b"content,style\n\nc/\xe9.png,s/a.png\n",
            "map.csv:3: is not UTF-8, and no encoding of Wi",
        ),
        (b"content,style,label\nc/1.png,s/a.png,\xe9\n", "(seen: b'c/1.png,s/a.png,\\xe9')"),
        (codecs.BOM_UTF16_LE + b"c\0o\0n", "map.csv:1: is not whole UTF-16 text; save it as UTF-8"),
        (b"content,style\n" + b'"' + b"x" * 200_000 + b'",y\n', "map.csv:2: not CSV (field larger"),
    ],
)
def test_what_is_in_doubt_is_refused_with_its_line(folder: Path, data: bytes, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(folder, data)
    assert said in str(caught.value)


def test_two_encodings_that_both_make_files_are_a_doubt(
    folder: Path, picture: Callable[..., Path]
) -> None:
    for encoding in ("cp1252", "cp1251"):
        picture(f"c/{b'1e9'.decode()}{bytes([0xE9]).decode(encoding)}.png")
    with pytest.raises(ManifestError, match=r"map.csv:2: is not UTF-8, and several encodings make"):
        load(folder, b"content,style\nc/1e9\xe9.png,s/a.png\n")


def test_a_map_that_cannot_be_read_is_said(folder: Path) -> None:
    (folder / "map.csv").mkdir()
    (folder / "m.yaml").write_text("output: run\nbackbone: lite\npairs: map.csv\n")
    with pytest.raises(
        ManifestError, match=r"map.csv: cannot be read \(Is a directory\); check it"
    ):
        load_manifest(folder / "m.yaml")
