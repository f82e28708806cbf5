"""Contact sheets: each picture in its place, and what keeps one from being made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_run import add_job
from PIL import Image, ImageFont

from pipeline.errors import ImageError, ManifestError
from pipeline.manifest import JobNames
from pipeline.report import Chosen, make_sheet
from pipeline.report.sheet_cells import cells_of
from pipeline.report.sheet_draw import Grid, Head, _fitting, difference_map, draw_grid
from pipeline.store import RunFolder


def test_a_sheet_has_each_picture_in_its_place(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    assert make_sheet(run, "style", "style_weight", path, 64) == []
    colors = {tuple(p) for p in np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)}
    made = {(100 * i, 100 * j, w) for i in (0, 1) for j in (0, 1) for w in (20, 100)}
    assert colors >= made - {(100, 100, 100)} and (100, 100, 100) not in colors
    sheet = np.asarray(Image.open(path).convert("RGB"))

    def place(color: tuple[int, int, int]) -> tuple[int, int]:
        row, column = np.argwhere((sheet == color).all(2))[0]
        return int(column), int(row)

    assert place((0, 0, 20))[0] < place((0, 0, 100))[0]  # columns are weights
    assert place((0, 100, 20))[1] < place((0, 0, 20))[1]  # rows are styles: blue, then red
    assert place((0, 0, 20))[1] < place((100, 0, 20))[1]  # a section for each content


def test_levels_stand_from_the_least_to_the_most(run: Path, tmp_path: Path) -> None:
    record = next(iter(RunFolder(run).records()))
    content, style = Path(record.content.path), Path(record.style.pictures[0].path)
    levels = tmp_path / "levels"
    for index, level in enumerate(("extreme", "medium", "subtle")):
        add_job(levels, content, style, (50 * index, 9, 9), strength=level)
    path = tmp_path / "sheet.png"
    assert make_sheet(levels, "style", "strength", path, 64) == []
    sheet = np.asarray(Image.open(path).convert("RGB"))
    columns = [int(np.argwhere((sheet == (50 * i, 9, 9)).all(2))[0][1]) for i in range(3)]
    assert columns[2] < columns[1] < columns[0]


def test_a_difference_of_runs_is_a_map_beside_both(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    contents = sorted({Path(r.content.path) for r in RunFolder(run).records()})
    styles = {Path(r.style.pictures[0].path).stem: r for r in RunFolder(run).records()}
    red = Path(styles["red"].style.pictures[0].path)
    add_job(other, contents[0], red, (10, 0, 25), style_weight=2.0)
    path = tmp_path / "d.png"
    assert make_sheet(run, "style", "style_weight", path, 64, other) == []
    colors = {tuple(p) for p in np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)}
    # (0, 0, 20) and (10, 0, 25) differ by 5 on average: of 64, a third of the way to (70, 15, 110).
    share = 5 / 64 / 0.25
    assert (10, 0, 25) in colors
    assert tuple(round(share * c) for c in (70, 15, 110)) in colors


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rows": "seed"}, "not an axis; there are content, style, style_weight"),
        ({"rows": "style", "cols": "style"}, "choose two axes"),
        ({"output": Path("x.bmp")}, ".png, .jpg, .webp or .pdf"),
        ({"tile": 20_000}, "choose --tile"),
        ({"output": Path("x.webp"), "tile": 4096}, "choose --tile"),  # of 16,383 px at most
        (
            {"chosen": Chosen(only=JobNames(("no such*",)))},
            "--favorites leave none of its",
        ),
    ],
)
def test_a_wrong_sheet_says_why(run: Path, change: dict[str, Any], message: str) -> None:
    given = {"rows": "content", "cols": "style", "output": run / "s.png", "tile": 64} | change
    with pytest.raises(ManifestError, match=message):
        make_sheet(run, **given)


def test_an_axis_goes_by_its_old_name_too(run: Path, tmp_path: Path) -> None:
    contents = sorted({Path(r.content.path) for r in RunFolder(run).records()})
    style = Path(next(iter(RunFolder(run).records())).style.pictures[0].path)
    for number, optimizer in enumerate(("adam", "lbfgs")):
        add_job(tmp_path / "swept", contents[0], style, (9, number, 9), optimizer=optimizer)
    path = tmp_path / "s.png"
    assert make_sheet(tmp_path / "swept", "content", "optimiser", path, 64) == []
    colors = {tuple(p) for p in np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)}
    assert {(9, 0, 9), (9, 1, 9)} <= colors


def classes_run(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Two classes of two contents each, whose files have the same names; one style."""
    made = {}
    for i, of_class in enumerate(("cats", "dogs")):
        for j in range(2):
            content = folder / "in" / of_class / f"{j}.png"
            content.parent.mkdir(parents=True, exist_ok=True)
            made[f"{of_class}/{j}"] = color = (60 + 60 * i, 60 + 60 * j, 7)
            Image.new("RGB", (32, 24), color[::-1]).save(content)
            name = add_job(folder / "run", content, folder / "s.png", color)
            for end in (".png", ".json"):
                old = folder / "run" / "images" / f"{name}{end}"
                new = folder / "run" / "images" / of_class / old.name
                new.parent.mkdir(exist_ok=True)
                text = old.read_bytes().replace(name.encode(), f"{of_class}/{name}".encode())
                new.write_bytes(old.read_bytes() if end == ".png" else text)
                old.unlink()
    return made


def test_a_sheet_by_class_has_a_content_of_each_class_in_a_section(tmp_path: Path) -> None:
    made, path = classes_run(tmp_path), tmp_path / "s.png"
    assert make_sheet(tmp_path / "run", "style", "class", path, 64) == []
    sheet = pixels(path)
    top, left = zip(*(np.argwhere((sheet == made[n]).all(2))[0] for n in made), strict=True)
    assert left[0] == left[1] < left[2] == left[3]  # a column a class
    assert top[0] == top[2] < top[1] == top[3]  # the firsts of the classes, and the seconds below
    assert make_sheet(tmp_path / "run", "class", None, tmp_path / "t.png", 64) == []
    assert make_sheet(tmp_path / "run", None, "class", tmp_path / "u.png", 64) == []
    assert (pixels(tmp_path / "u.png") == sheet).all()
    with pytest.raises(ManifestError, match=r"there are content, style, class$"):
        make_sheet(tmp_path / "run", "class", "split", path, 64)


def test_contents_of_one_file_name_each_have_their_row(tmp_path: Path) -> None:
    made, path = classes_run(tmp_path), tmp_path / "s.png"
    assert make_sheet(tmp_path / "run", "content", "style", path, 64) == []
    assert {tuple(p) for p in pixels(path).reshape(-1, 3)} >= set(made.values())
    labels = {
        c.labels["content"] for c in cells_of(RunFolder(tmp_path / "run"), None, None, JobNames())
    }
    assert labels == set(made)


def test_a_sheet_as_pdf_has_a_page_a_section(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.pdf"
    assert make_sheet(run, "content", "style", path, 64) == []
    data = path.read_bytes()
    assert data.startswith(b"%PDF") and data.count(b"/Type /Page\n") == 2


def test_a_run_without_pictures_has_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no pictures there; run the manifest first"):
        make_sheet(tmp_path, "content", "style", tmp_path / "s.png")


def test_a_picture_that_is_gone_is_left_out_and_named(run: Path, tmp_path: Path) -> None:
    record = next(RunFolder(run).records())
    (run / record.output.path).unlink()
    path = tmp_path / "s.png"
    (said,) = make_sheet(run, "style", "style_weight", path, 64)
    assert record.output.path in said
    colors = {tuple(p) for p in np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)}
    assert {(0, 0, 20), (100, 0, 20)} <= colors  # pictures that are there


def test_a_sheet_of_nothing_but_what_is_gone_has_frames(run: Path, tmp_path: Path) -> None:
    for record in RunFolder(run).records():
        (run / record.output.path).write_text("no picture")
    assert len(make_sheet(run, "style", "style_weight", tmp_path / "s.png", 64)) == 7


def test_of_two_jobs_for_one_place_the_first_is_shown(run: Path, tmp_path: Path) -> None:
    store = RunFolder(run)
    twin = next(r for r in store.records() if r.name == "a__red__style_weight-2.0")
    content, style = Path(twin.content.path), Path(twin.style.pictures[0].path)
    name = add_job(run, content, style, (1, 2, 3), style_weight=2.0, seed=0)
    record = store.record_path(name)
    record.write_text(record.read_text().replace('"seed": 0', '"style_weight": 2.0'))
    path = tmp_path / "s.png"
    assert make_sheet(run, "style", "style_weight", path, 64) == []
    colors = {tuple(p) for p in np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)}
    assert (0, 0, 20) in colors and (1, 2, 3) not in colors


def test_labels_are_shortened_in_the_middle_until_they_fit() -> None:
    font = ImageFont.load_default(11)
    assert _fitting("short", font, 1000) == "short"
    text = _fitting("a_very_long_name_of_a_style", font, 80)
    assert font.getlength(text) <= 80 and text.startswith("a_") and text.endswith("e")
    assert "…" in text
    assert _fitting("abc", font, 0) == "a…c"


def pixels(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("name, kind", [("s.jpg", "JPEG"), ("s.jpeg", "JPEG"), ("s.webp", "WEBP")])
def test_a_sheet_to_post_is_a_jpeg_or_a_webp(
    run: Path, tmp_path: Path, name: str, kind: str
) -> None:
    assert make_sheet(run, "content", "style", tmp_path / name, 64) == []
    with Image.open(tmp_path / name) as image:
        assert image.format == kind and image.width > 128


def test_only_favorites_without_rejected_ones(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.png"
    chosen = Chosen(JobNames(("*__red__*",)), JobNames(("b__red__style_weight-2.0",)))
    assert make_sheet(run, "content", "style_weight", path, 64, None, chosen) == []
    colors = {tuple(p) for p in pixels(path).reshape(-1, 3)}
    made = {(100 * i, 100 * j, w) for i in (0, 1) for j in (0, 1) for w in (20, 100)}
    assert colors & made == {(0, 0, 20), (0, 0, 100), (100, 0, 100)}


def test_a_favorite_whose_name_looks_like_a_glob_is_that_one_alone(tmp_path: Path) -> None:
    store = RunFolder(tmp_path / "run")
    for stem in ("photo1", "photo[1]", "x"):
        add_job(store.path, Path(f"{stem}.png"), Path("red.png"), (1, 2, 3))
    odd = JobNames(("photo[1]__red",))
    assert len(cells_of(store, None, odd, JobNames())) == 1
    assert len(cells_of(store, None, None, odd)) == 2


def test_few_favorites_stand_side_by_side_and_no_place_is_empty(run: Path, tmp_path: Path) -> None:
    record = next(iter(RunFolder(run).records()))
    style = Path(record.style.pictures[0].path)
    sampled = tmp_path / "sampled"
    for i in range(4):
        content, own = tmp_path / f"c{i}.png", tmp_path / f"s{i}.png"
        for copy in (content, own):
            copy.write_bytes(style.read_bytes())
        add_job(sampled, content, own, (200 - i, 0, 0))
    path = tmp_path / "s.png"
    assert make_sheet(sampled, None, None, path, 64, None, Chosen(title="")) == []
    sheet = pixels(path)
    places = [np.argwhere((sheet == (200 - i, 0, 0)).all(2))[0] for i in range(4)]
    assert [tuple(place) for place in places] == sorted(map(tuple, places))  # row by row
    assert len({place[0] for place in places}) == 2  # 2 x 2
    # Each has its label below it, in soft letters.
    assert ((sheet[places[0][0] + 48 : places[2][0]] < 200).all(2)).any()


def test_inputs_stand_as_heads_of_rows_and_columns_once(run: Path, tmp_path: Path) -> None:
    path, plain = tmp_path / "s.png", tmp_path / "plain.png"
    for i, name in enumerate(("a", "b", "red", "blue")):
        Image.new("RGB", (72, 56), (250, 10 + i, 10)).save(tmp_path / f"{name}.png")
    fresh = tmp_path / "fresh"
    for content in ("a", "b"):
        for style in ("red", "blue"):
            for weight in (2.0, 10.0):
                pair = (tmp_path / f"{content}.png", tmp_path / f"{style}.png")
                add_job(fresh, *pair, (1, 2, int(weight)), style_weight=weight)
    assert make_sheet(fresh, "content", "style", path, 64) == []
    heads = [int((pixels(path) == (250, 10 + i, 10)).all(2).sum()) for i in range(4)]
    # Two fifths of a tile: 25 px high above the first section alone, 25 px wide beside the rows of
    # both sections.
    assert heads == [2 * 25 * 19] * 2 + [32 * 25] * 2
    for name in ("a", "b", "red", "blue"):
        (tmp_path / f"{name}.png").write_text("gone")
    assert make_sheet(fresh, "content", "style", plain, 64) == []  # labels alone
    assert pixels(plain).shape[0] < pixels(path).shape[0]


def test_a_title_is_the_runs_name_in_words_unless_told(run: Path, tmp_path: Path) -> None:
    heights = []
    for title in (None, "Summer in town", ""):
        path = tmp_path / "s.png"
        assert make_sheet(run, "content", "style", path, 64, None, Chosen(title=title)) == []
        heights.append(pixels(path).shape[0])
    assert heights[0] == heights[1] > heights[2]


def test_two_runs_without_a_common_job_are_not_compared(run: Path, tmp_path: Path) -> None:
    record = next(iter(RunFolder(run).records()))
    other = tmp_path / "other"
    add_job(other, Path(record.content.path), Path(record.content.path), (1, 2, 3))
    with pytest.raises(ManifestError, match="nothing to compare"):
        make_sheet(run, "content", "style", tmp_path / "s.png", 64, other)


def test_pictures_of_another_shape_are_not_subtracted(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    record = next(iter(RunFolder(run).records()))
    inputs = (Path(record.content.path), Path(record.style.pictures[0].path))
    name = add_job(other, *inputs, (7, 8, 9), style_weight=record.settings["style_weight"])
    assert name == record.name
    Image.new("RGB", (48, 64), (7, 8, 9)).save(other / record.output.path)
    path = tmp_path / "s.png"
    assert make_sheet(run, "style", "style_weight", path, 64, other) == []
    assert (7, 8, 9) in {tuple(p) for p in pixels(path).reshape(-1, 3)}


def test_the_difference_map_goes_from_black_to_light_yellow() -> None:
    gray = Image.new("RGB", (2, 1), (100, 100, 100))
    other = Image.new("RGB", (2, 1), (100, 100, 100))
    other.putpixel((1, 0), (200, 200, 200))
    found = difference_map(gray, other)
    assert (found.getpixel((0, 0)), found.getpixel((1, 0))) == ((0, 0, 0), (255, 250, 180))


def test_a_place_that_cannot_be_read_is_a_frame() -> None:
    def lost() -> Any:
        raise ImageError("x.png: gone")

    left_out: list[str] = []
    grid = Grid("", [Head("one")], [Head("two")], ("", ""), (), {(0, 0): lost}, False, 1)
    sheet = draw_grid(grid, (64, 48), left_out)
    assert left_out == ["x.png: gone"] and sheet.height > 48
