"""The report, contact sheets, the best, and records as dicts: from run folders to files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fake_run import EVIL, add_job
from PIL import Image

from pipeline import records as iterate_records
from pipeline.errors import ManifestError
from pipeline.manifest import Settings, load_manifest
from pipeline.method import Backbone, load_weights
from pipeline.report import build_report, by_pair, make_sheet, pairs_manifest, score_pair
from pipeline.report.page import curves_svg
from pipeline.store import RunFolder


@pytest.fixture
def run(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """2 contents x 2 styles x 2 weights, one of them missing, and one failure."""
    pictures = [picture(f"{n}.png", i) for i, n in enumerate(("a", "b", "red", "blue"))]
    folder = tmp_path / "run"
    for i, content in enumerate(pictures[:2]):
        for j, style in enumerate(pictures[2:]):
            for weight in (2.0, 10.0):
                if (i, j, weight) != (1, 1, 10.0):
                    color = (100 * i, 100 * j, int(10 * weight))
                    add_job(folder, content, style, color, style_weight=weight)
    store = RunFolder(folder)
    store.add_failure(
        {
            "name": f"b__blue__{EVIL}",
            "error": f"broken: {EVIL}",
            "time": "2026-01-01T00:00:09+00:00",
            "content": str(pictures[1]),
            "style": "blue",
            "style_parts": {str(pictures[3]): 1.0},
            "swept": {"style_weight": 10.0},
        }
    )
    return folder


def data_of(run: Path) -> dict[str, Any]:
    """The page's data as a browser reads it: up to the first end of a script element."""
    text = (run / "report.html").read_text()
    start = text.index("const DATA=") + len("const DATA=")
    data: dict[str, Any] = json.loads(text[start : text.index(";</script>", start)])
    return data


def test_the_page_holds_every_job_and_names_cannot_end_the_script(run: Path) -> None:
    built = build_report(RunFolder(run))
    text, data = (run / "report.html").read_text(), data_of(run)
    assert built.jobs == len(data["names"]) == 8
    assert EVIL not in text
    assert [axis["name"] for axis in data["axes"]] == ["content", "style", "style_weight"]
    assert data["axes"][2]["labels"] == ["2", "10"]  # by size, not by name
    weights = data["axes"][2]
    index = data["names"].index("a__red__style_weight-10.0")
    assert weights["values"][weights["column"][index]] == 10
    assert data["losses"]["total"][index] == pytest.approx(0.1 + 3 / 20)
    broken = data["names"].index(f"b__blue__{EVIL}")
    assert data["errors"][data["error"][broken]] == f"broken: {EVIL}"
    assert data["settings"]["size"] == 64 and "style_weight" not in data["settings"]


def test_thumbnails_are_made_once_and_go_with_their_picture(run: Path) -> None:
    build_report(RunFolder(run))
    thumbs = {p: p.stat().st_mtime_ns for p in (run / "report/thumbs").glob("[!i]*.webp")}
    assert len(thumbs) == 7
    with Image.open(next(iter(thumbs))) as image:
        assert image.format == "WEBP" and max(image.size) <= 192
    record = next(RunFolder(run).records())
    (run / "images" / f"{record['name']}.json").unlink()
    build_report(RunFolder(run))
    after = {p: p.stat().st_mtime_ns for p in (run / "report/thumbs").glob("[!i]*.webp")}
    assert len(after) == 6 and after.items() <= thumbs.items()


def test_a_record_that_cannot_be_read_is_told_and_the_rest_shown(run: Path) -> None:
    (run / "images/zz.json").write_text('{"name": "zz"')
    (run / "images/old.json").write_text('{"name": "old", "schema": 0}')
    built = build_report(RunFolder(run))
    assert built.jobs == 8 and len(built.left_out) == 2
    assert "old.json" in built.left_out[0] + built.left_out[1]
    assert "2 records could not be read" in (run / "report.html").read_text()


def test_details_hold_records_and_curves(run: Path) -> None:
    build_report(RunFolder(run))
    text = (run / "report/detail/00000.js").read_text()
    assert text.startswith("nstDetail(0,") and "</script" not in text
    rows = json.loads(text[len("nstDetail(0,") : -3])
    assert len(rows) == 8
    assert rows[0]["record"]["name"] == data_of(run)["names"][0]
    assert rows[0]["curves"].count("<polyline") == 3  # tv is 0 all along: no place on a log scale


def test_curves_fall_where_losses_fall() -> None:
    svg = curves_svg({"losses": [{"step": s, "total": 10.0 ** (3 - s)} for s in (1, 2, 3)]})
    places = svg.split('points="')[1].split('"')[0].split()
    assert places == ["44.0,12.0", "197.0,80.0", "350.0,148.0"]
    assert curves_svg({"losses": [{"step": 1, "total": float("nan")}]}) == ""


def test_a_sheet_has_each_picture_in_its_place(run: Path, tmp_path: Path) -> None:
    path = make_sheet(run, "style", "style_weight", tmp_path / "sheet.png", 64)
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


def test_a_difference_of_runs_is_shown_amplified(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    contents = sorted({Path(r["content"]["path"]) for r in RunFolder(run).records()})
    styles = {Path(r["style"]["pictures"][0]["path"]).stem: r for r in RunFolder(run).records()}
    red = Path(styles["red"]["style"]["pictures"][0]["path"])
    add_job(other, contents[0], red, (10, 0, 25), style_weight=2.0)
    path = make_sheet(run, "style", "style_weight", tmp_path / "d.png", 64, other)
    colors = {tuple(p) for p in np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)}
    assert (10, 0, 25) in colors and (40, 0, 20) in colors


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rows": "seed"}, "not an axis; there are content, style, style_weight"),
        ({"rows": "style", "cols": "style"}, "choose two axes"),
        ({"output": Path("x.bmp")}, ".png or a .pdf"),
        ({"tile": 20_000}, "choose --tile"),
    ],
)
def test_a_wrong_sheet_says_why(run: Path, change: dict[str, Any], message: str) -> None:
    given = {"rows": "content", "cols": "style", "output": run / "s.png", "tile": 64} | change
    with pytest.raises(ManifestError, match=message):
        make_sheet(run, **given)


def test_a_sheet_as_pdf_has_a_page_a_section(run: Path, tmp_path: Path) -> None:
    path = make_sheet(run, "content", "style", tmp_path / "s.pdf", 64)
    data = path.read_bytes()
    assert data.startswith(b"%PDF") and data.count(b"/Type /Page\n") == 2


def test_the_best_is_nearest_to_content_and_style(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    content, style = picture("a.png", 1, (96, 72)), picture("s.png", 2, (96, 72))
    run = tmp_path / "run"
    names = [add_job(run, content, style, (200, 0, 0), seed=s) for s in (0, 1, 2)]
    store = RunFolder(run)
    mixed = Image.blend(Image.open(content).convert("RGB"), Image.open(style).convert("RGB"), 0.3)
    mixed.save(run / f"images/{names[1]}.png")
    Image.open(content).convert("RGB").save(run / f"images/{names[2]}.png")
    backbone = Backbone(load_weights("lite"), Settings().layers)
    (group,) = by_pair(list(store.records()))
    ranked = score_pair(run, group, backbone, 3.0)
    assert ranked[-1].record["name"] == names[0]  # one flat color is neither
    itself = next(s for s in ranked if s.record["name"] == names[2])
    assert itself.content == pytest.approx(0, abs=1e-4)
    for scored in ranked:
        assert scored.score == pytest.approx(scored.content + 3 * scored.style, rel=1e-5)


def test_the_winners_manifest_makes_just_those_jobs(run: Path, tmp_path: Path) -> None:
    records = [r for r in RunFolder(run).records() if r["swept"]["style_weight"] == 10]
    text = pairs_manifest(records, tmp_path / "best", {"name": "lite", "weights": None})
    (tmp_path / "best.yaml").write_text(text)
    manifest = load_manifest(tmp_path / "best.yaml")
    assert len(manifest.pairs) == len(records) == 3
    assert all(pair.settings == {"style_weight": 10.0} for pair in manifest.pairs)
    assert yaml.safe_load(text)["settings"]["size"] == 64


def test_records_are_flat_dicts(run: Path) -> None:
    rows = list(iterate_records(run))
    assert len(rows) == 7
    row = next(r for r in rows if r["name"] == "a__red__style_weight-10.0")
    assert row["style_weight"] == row["settings.style_weight"] == 10
    assert row["loss.style"] == pytest.approx(1 / 20) and row["seconds"] == 2.5
    assert Path(row["image"]).exists()
