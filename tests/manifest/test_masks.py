"""Masks beside pictures: which files are masks, whose they are, and what is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, load_manifest
from pipeline.manifest.masks import _is_mask_by_name, mask_of
from pipeline.plan import Job, Plan

HEAD = "output: run\nbackbone: lite\n"
Make = Callable[..., Path]


def load(folder: Path, text: str) -> Manifest:
    (folder / "m.yaml").write_text(HEAD + text)
    return load_manifest(folder / "m.yaml")


def jobs(manifest: Manifest) -> list[Job]:
    return list(Plan(manifest, lambda s: "", 1).jobs())


@pytest.mark.parametrize(
    ("pattern", "mask", "alone"),
    [
        ("{stem}_mask.png", "c/a_mask.png", "c/z_mask.png"),
        ("{name}.mask.png", "c/a.jpg.mask.png", "c/z.jpg.mask.png"),
        ("masks/{stem}.png", "c/masks/a.png", "c/masks/z.png"),
        ("../m/{stem}{suffix}", "m/a.jpg", "m/z.jpg"),
    ],
)
def test_masks_beside_photos_are_no_contents_even_alone(
    tmp_path: Path, picture: Make, pattern: str, mask: str, alone: str
) -> None:
    for name in ("c/a.jpg", mask, alone, "s.png"):
        picture(name)
    found = load(
        tmp_path, f"content: [c, '**/m/*.jpg']\nstyle: s.png\nmasks: {{content: '{pattern}'}}\n"
        if pattern.startswith("..")
        else f"content: c\nstyle: s.png\nmasks: {{content: '{pattern}'}}\n",
    )  # fmt: skip
    assert [(c.path.name, c.mask and c.mask.name) for c in found.contents] == [
        ("a.jpg", Path(mask).name)
    ]
    (warned,) = found.warnings
    assert warned.code == "unpaired_mask" and "without a picture, and left out" in warned.text
    assert str(tmp_path / alone) in warned.text


def test_a_mask_named_as_pictures_are_is_known_by_its_picture(
    tmp_path: Path, picture: Make
) -> None:
    for name in ("c/a.jpg", "c/a.png", "s.png"):
        picture(name)
    text = "content: c\nstyle: s.png\nmasks: {content: '{stem}.png'}\n"
    (found,) = load(tmp_path, text).contents
    assert (found.path.name, found.mask and found.mask.name) == ("a.jpg", "a.png")
    picture("c/b.png")
    with pytest.raises(ManifestError, match=r"b\.png: would be its own mask; check the pattern"):
        load(tmp_path, text)


def test_masks_of_contents_are_no_styles_where_both_lie_together(
    tmp_path: Path, picture: Make
) -> None:
    for name in ("p/a.jpg", "p/a_mask.png", "p/death_mask.png"):
        picture(name)
    text = "content: p/a.jpg\nstyle: p\nmasks: {content: '{stem}_mask.png'}\n"
    assert [style.label for style in load(tmp_path, text).styles] == ["a", "death_mask"]


def test_pictures_without_masks_are_whole_where_that_is_said(tmp_path: Path, picture: Make) -> None:
    for name in ("c/a.png", "c/a_mask.png", "c/b.png", "s.png", "t.png"):
        picture(name)
    text = "content: c\nstyle: s.png\nmasks: {content: '{stem}_mask.png'%s}\n"
    with pytest.raises(ManifestError, match=r"b_mask\.png; .* or allow it by `missing: whole`"):
        load(tmp_path, text % "")
    found = load(tmp_path, text % ", missing: whole")
    assert [c.mask and c.mask.name for c in found.contents] == ["a_mask.png", None]
    (warned,) = found.warnings
    assert warned.code == "unpaired_mask" and "1 picture without a mask" in warned.text
    plain = load(tmp_path, "content: [c/a.png, c/b.png]\nstyle: s.png\n")
    before = {job.content.label: job.key for job in jobs(plain)}
    keys = {job.content.label: job.key for job in jobs(found)}
    assert keys["b"] == before["b"] and keys["a"] != before["a"]


def test_a_whole_picture_takes_the_style_of_white(tmp_path: Path, picture: Make) -> None:
    for seed, name in enumerate(("c/a.png", "c/a_mask.png", "c/b.png", "s.png", "t.png")):
        picture(name, seed)
    text = (
        "content: c\nmasks: {content: '{stem}_mask.png', missing: whole}\n"
        "style: [{name: x, regions: {%s: s.png, black: t.png}}]\n"
    )
    masked, whole = jobs(load(tmp_path, text % "white"))
    assert [path.name for path, _ in masked.style.parts] == ["s.png", "t.png"]
    assert [path.name for path, _ in whole.style.parts] == ["s.png"]
    (plain,) = jobs(load(tmp_path, "content: c/b.png\nstyle: s.png\n"))
    assert whole.key == plain.key
    with pytest.raises(ManifestError, match=r"style x has no region white, which .*b\.png without"):
        load(tmp_path, text % "red")


def test_of_pairs_only_those_that_meet_want_masks(tmp_path: Path, picture: Make) -> None:
    for name in ("a.png", "m.png", "b.png", "s.png"):
        picture(name)
    text = (
        "style: [{name: x, regions: {white: s.png}}]\npairs:\n"
        "- {content: a.png, style: x, mask: m.png}\n- {content: b.png, style: %s}\n"
    )
    assert len(jobs(load(tmp_path, text % "s.png"))) == 2
    with pytest.raises(ManifestError, match="style x has regions, but there is no `masks: content"):
        load(tmp_path, text % "x")


def test_levels_are_named_by_numbers(tmp_path: Path, picture: Make) -> None:
    for name in ("a.png", "a_m.png", "s.png", "t.png"):
        picture(name)
    text = (
        "content: a.png\nmasks: {content: '{stem}_m.png'}\n"
        "style: [{name: x, regions: {0: s.png, %s: t.png}}]\n"
    )
    (style,) = load(tmp_path, text % 2).styles
    assert style.regions == ("#000000", "#020202") and style.names_levels
    (plain,) = load(tmp_path, text % "255").styles
    assert plain.regions == ("#000000", "#ffffff") and not plain.names_levels
    with pytest.raises(ManifestError, match=r"must be a CSS color name, .* or a level 0 to"):
        load(tmp_path, text % 256)
    with pytest.raises(ManifestError, match="#000000 stands twice"):
        load(tmp_path, text % "black")


def test_keys_of_jobs_with_masks_hold_the_edge_and_others_do_not(
    tmp_path: Path, picture: Make
) -> None:
    for name in ("a.png", "a_m.png", "s.png"):
        picture(name)
    text = "content: a.png\nstyle: s.png\nsettings: {mask_edge: %s}\n%s"
    masks = "masks: {content: '{stem}_m.png'}\n"
    keys = [jobs(load(tmp_path, text % (e, m)))[0].key for m in ("", masks) for e in (4, 9)]
    assert keys[0] == keys[1] and keys[2] != keys[3]


@given(
    stem=st.from_regex(r"[a-z0-9_.]{1,8}[a-z0-9]", fullmatch=True),
    suffix=st.sampled_from([".jpg", ".png", ".tar.gz.png"]),
    pattern=st.sampled_from(
        ["{stem}_mask.png", "{name}.m{suffix}", "m/{stem}.png", "../x/m_{stem}{suffix}"]
    ),
)
def test_each_mask_of_a_pattern_is_known_by_name(stem: str, suffix: str, pattern: str) -> None:
    picture = Path("/data/photos") / f"{stem}{suffix}"
    assert _is_mask_by_name(mask_of(picture, pattern), pattern)
