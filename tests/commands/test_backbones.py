"""Several networks in one run folder: swept, of a pair, on the command line; kept apart and
resumed."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import INLINE, Said, assert_whole, records, write
from students import write_teacher

from pipeline import records as rows_of
from pipeline import run_batch
from pipeline.commands import (
    Changes,
    Options,
    PairRequest,
    make_again,
    parse_settings,
    rank_run,
    run_manifest,
    run_pair,
    show_picture,
    show_plan,
)
from pipeline.commands.prepare import find_digests, keep_all, plan_jobs
from pipeline.errors import ManifestError, WeightsError
from pipeline.manifest import Manifest, load_manifest
from pipeline.plan import Choice
from pipeline.report.axes import make_axes
from pipeline.report.entries import find_entries
from pipeline.report.table import rows
from pipeline.store import RunFolder, read_made

QUICK = "{preset: classic, size: 48, steps: 2, scale_start: 0}"
HEAD = f"output: run\ncontent: [a.png, b.png]\nstyle: s.png\nsettings: {QUICK}\n"
OWN = "{name: lite, weights: own.safetensors}"
AXIS = f"grid: {{backbone: [lite, {OWN}]}}\n"
LITE, STUDENT = "backbone-lite", "backbone-lite-own"
TWO = Options("cpu,cpu")


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """A folder with two contents, a style and a small network of one's own."""
    for seed, name in enumerate(("a.png", "b.png", "s.png")):
        picture(name, seed)
    write_teacher(tmp_path / "own.safetensors")
    return tmp_path


def load(folder: Path, more: str, given: dict[str, Any] | None = None) -> Manifest:
    write(folder / "m.yaml", HEAD + more)
    return load_manifest(folder / "m.yaml", given)


def keys(manifest: Manifest) -> dict[str, str]:
    """The keys of a manifest's jobs, by name."""
    store = RunFolder(manifest.output)
    kept = keep_all(manifest, INLINE, store)
    plan = plan_jobs(kept, INLINE, find_digests(kept, INLINE, store, keep=False))
    return {job.name: job.key for job in plan.jobs()}


def run(folder: Path, more: str, options: Options = INLINE) -> Any:
    return run_manifest(load(folder, more), options, Said())


def test_a_swept_backbone_is_run_resumed_and_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, AXIS).done == 4
    assert_whole(folder / "run", 4)
    found = records(folder / "run")
    assert list(found) == [f"{c}.png__s__{b}.json" for c in "ab" for b in (STUDENT, LITE)]
    mine, shipped = (found[f"a.png__s__{b}.json"] for b in (STUDENT, LITE))
    own = {"name": "lite", "weights": str(folder / "own.safetensors")}
    assert mine["swept"] == {"backbone": own} and shipped["swept"] == {"backbone": "lite"}
    assert mine["backbone"]["choice"] == own["weights"] and shipped["backbone"]["choice"] is None
    assert "own.safetensors" in mine["backbone"]["weights"]
    assert "distilled" in shipped["backbone"]["weights"]
    assert mine["backbone"]["weights_sha256"] != shipped["backbone"]["weights_sha256"]
    assert mine["targets"]["computed"] == shipped["targets"]["computed"] == 1

    assert run(folder, AXIS).already_done == 4
    header = json.loads((folder / "run/plan.json").read_text())
    assert header["grid"] == {"backbone": ["lite", own]}
    assert header["backbone"]["weights"] is None and len(header["backbones"]) == 2
    assert [each["said"] for each in header["backbones"]] == [False, True]

    store = RunFolder(folder / "run")
    (axis,) = [axis for axis in make_axes(find_entries(store)[0]) if axis.name == "backbone"]
    assert axis.labels == ["lite", "lite-own"] and axis.values == ["lite", own]
    assert {row["settings.backbone"] for row in rows(store)} == {"lite", json.dumps(own)}
    assert {str(row["backbone"]) for row in rows_of(folder / "run")} == {"lite", str(own)}

    picture = folder / f"run/images/a.png__s__{STUDENT}.png"
    capsys.readouterr()
    assert show_picture(picture, as_json=False) == 0
    said = capsys.readouterr().out
    assert said.count("own.safetensors") == 1 and "backbone: " not in said
    alone = folder / "elsewhere"
    alone.mkdir()
    text = read_made(picture.rename(alone / "a.png"))  # without its record: by its own text
    assert text.swept["backbone"] == {"name": "lite", "weights": "own.safetensors"}
    assert str(folder) not in json.dumps(text.plain())


def test_two_slots_share_them_and_go_on_where_they_were_stopped(folder: Path) -> None:
    text = (HEAD + AXIS).replace("}]}", "}], seed: [0, 1]}")
    (folder / "m.yaml").write_text(text)
    few = replace(INLINE.run, choice=Choice(limit=3))
    first = replace(INLINE, run=few)
    assert run_manifest(load_manifest(folder / "m.yaml"), first, Said()).done == 3
    summary = run_manifest(load_manifest(folder / "m.yaml"), TWO, Said())
    assert (summary.done, summary.already_done, summary.failed) == (5, 3, 0)
    assert_whole(folder / "run", 8)
    digests = {
        name.rpartition("backbone-")[2].partition("__")[0]: made["backbone"]["weights_sha256"]
        for name, made in records(folder / "run").items()
    }
    assert sorted(digests) == ["lite", "lite-own"] and len(set(digests.values())) == 2


def test_keys_are_those_of_one_backbone_and_pictures_are_taken_along(folder: Path) -> None:
    swept = keys(load(folder, AXIS))
    for backbone, label in (("lite", LITE), (OWN, STUDENT)):
        for name, key in keys(load(folder, f"backbone: {backbone}\n")).items():
            assert swept[f"{name}__{label}"] == key
    assert run(folder, "backbone: lite\n").done == 2
    summary = run(folder, AXIS)
    assert (summary.done, summary.moved) == (2, 2)
    assert sum(name.endswith(f"{LITE}.json") for name in records(folder / "run")) == 2
    summary = run(folder, f"grid: {{backbone: [{OWN}]}}\n")
    assert (summary.already_done, summary.done, summary.stale) == (2, 0, 2)


def test_a_pair_may_have_its_own(folder: Path) -> None:
    text = (
        f"output: run\nbackbone: lite\nsettings: {QUICK}\npairs:\n  - [a.png, s.png]\n"
        f"  - {{content: b.png, style: s.png, settings: {{backbone: {OWN}}}}}\n"
        f"  - {{content: b.png, style: a.png, settings: {{backbone: null}}}}\n"
    )
    write(folder / "m.yaml", text)
    names = list(keys(load_manifest(folder / "m.yaml")))
    assert names == ["a.png__s", f"b.png__s__{STUDENT}", "b.png__a"]
    assert run_manifest(load_manifest(folder / "m.yaml"), INLINE, Said()).done == 3
    (folder / "map.csv").write_text("content,style,backbone\na.png,s.png,\nb.png,s.png,vgg19\n")
    write(folder / "m.yaml", f"output: run\nsettings: {QUICK}\npairs: map.csv\n")
    manifest = load_manifest(folder / "m.yaml")
    assert list(manifest.backbones) == ["", "vgg19"] and manifest.backbone == "auto"


def test_where_all_name_one_no_other_is_looked_for(folder: Path) -> None:
    """None is chosen for those that name none, for there are not any."""
    pair = f"pairs: [{{content: a.png, style: s.png, settings: {{backbone: {OWN}}}}}]\n"
    for text in (HEAD + AXIS, f"output: run\nsettings: {QUICK}\n{pair}"):
        write(folder / "m.yaml", text)
        kept = keep_all(load_manifest(folder / "m.yaml"), INLINE, RunFolder(folder / "run"))
        assert kept.backbone == "lite" and not kept.warnings
        assert all(key for _, key in keys(kept).items())


def test_the_command_line_names_one(folder: Path) -> None:
    given = parse_settings([f"backbone={OWN}"], whole=False)
    expected = keys(load(folder, f"backbone: {OWN}\n"))
    assert keys(load(folder, "backbone: vgg19\n", given)) == expected
    with pytest.raises(
        ManifestError,
        match=r"grid.backbone: has values .* use --only backbone=\.\.\.",
    ):
        load(folder, AXIS, given)
    with pytest.raises(ManifestError, match=r"--set backbone: 'vgg91': no such backbone; did"):
        parse_settings(["backbone=vgg91"])


def test_one_picture_takes_it_as_a_setting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    settings = parse_settings(
        [f"backbone={OWN}", "preset=classic", "size=48", "steps=2", "scale_start=0"]
    )
    request = PairRequest(folder / "a.png", folder / "s.png", folder / "o.png", settings, "auto")
    assert run_pair(request, INLINE, quiet=True) == 0
    made = json.loads((folder / "o.json").read_text())
    assert made["backbone"]["choice"] == str(folder / "own.safetensors")
    with pytest.raises(ManifestError, match="backbone is both vgg19 and lite; leave one out"):
        run_pair(replace(request, backbone="vgg19"), INLINE, quiet=True)

    other = Changes(["backbone=lite"])
    assert make_again(folder / "o.png", folder / "p.png", other, INLINE, quiet=True) == 0
    again = json.loads((folder / "p.json").read_text())
    assert again["backbone"]["choice"] is None and again["key"] != made["key"]
    assert make_again(folder / "p.png", folder / "q.png", Changes([f"backbone={OWN}"]), INLINE) == 0
    assert json.loads((folder / "q.json").read_text())["key"] == made["key"]
    gone = Changes(["backbone={name: vgg19, weights: gone.pth}"])
    with pytest.raises(ManifestError, match=r"--set backbone.weights: .*gone.pth: no such weight"):
        make_again(folder / "o.png", folder / "r.png", gone, INLINE)


def test_favorites_and_winners_keep_their_own(folder: Path) -> None:
    assert run(folder, AXIS).done == 4
    assert rank_run(folder / "run", 1.0, None, 0, as_json=True) == 0
    best = load_manifest(folder / "run/best.yaml")
    assert all(pair.settings["backbone"] for pair in best.pairs)
    chosen = {(pair.content, str(pair.settings["backbone"])) for pair in best.pairs}
    assert len(chosen) == 2
    made = {record["key"] for record in records(folder / "run").values()}
    assert set(keys(best).values()) <= made
    picture = folder / f"run/images/a.png__s__{STUDENT}.png"
    assert make_again(picture, folder / "again.png", Changes(), INLINE, quiet=True) == 0
    assert json.loads((folder / "again.json").read_text())["key"] in made


def test_each_normalized_network_has_its_own_means(folder: Path) -> None:
    normalized = HEAD.replace("scale_start: 0", "scale_start: 0, normalized: true")

    def run_with(more: str) -> Any:
        write(folder / "m.yaml", normalized + more)
        return run_manifest(load_manifest(folder / "m.yaml"), INLINE, Said())

    assert run_with("backbone: lite\n").done == 2
    first = (folder / "run/normalisation.safetensors").read_bytes()
    summary = run_with(AXIS)
    assert (summary.moved, summary.done) == (2, 2)
    assert (folder / "run/normalisation.safetensors").read_bytes() == first
    (own,) = (folder / "run").glob("normalisation-*.safetensors")
    assert run_with(AXIS).already_done == 4
    for label in (LITE, STUDENT):
        picture = folder / f"run/images/b.png__s__{label}.png"
        output = folder / f"{label}.png"
        assert make_again(picture, output, Changes(), INLINE, quiet=True) == 0
        made = json.loads(picture.with_suffix(".json").read_text())
        assert json.loads(output.with_suffix(".json").read_text())["key"] == made["key"]
    own.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="damaged normalization file"):
        run_with(AXIS)


def test_all_that_is_missing_is_named_at_once(folder: Path) -> None:
    (folder / "cut.safetensors").write_bytes((folder / "own.safetensors").read_bytes()[:200])
    (folder / "page.pth").write_text("<!DOCTYPE html>")
    files = ("cut.safetensors", "page.pth")
    wrong = ", ".join(f"{{name: lite, weights: {file}}}" for file in files)
    with pytest.raises(WeightsError) as caught:
        keys(load(folder, f"grid: {{backbone: [lite, {wrong}]}}\n"))
    assert all(str(folder / file) in str(caught.value) for file in files)


def test_one_network_under_two_names_is_told(folder: Path) -> None:
    (folder / "same.safetensors").write_bytes((folder / "own.safetensors").read_bytes())
    same = "{name: lite, weights: same.safetensors}"
    manifest = load(folder, f"grid: {{backbone: [lite, {OWN}, {same}]}}\n")
    with pytest.raises(ManifestError, match="lite-own and lite-same are one network on this"):
        keys(manifest)


def test_weights_that_a_run_began_with_are_kept_for_each(folder: Path) -> None:
    (folder / "run").mkdir()
    began = [
        {"name": "vgg19", "weights": "torchvision", "said": False},
        {"name": "vgg19", "weights": "caffe", "said": True},
        {"name": "lite", "weights": None},
    ]
    header = {"schema": 1, "backbone": began[1], "backbones": began}
    (folder / "run/plan.json").write_text(json.dumps(header))
    caffe = "{name: vgg19, weights: caffe}"
    manifest = load(folder, f"grid: {{backbone: [vgg19, {caffe}, lite, vgg16]}}\n")
    kept = keep_all(manifest, INLINE, RunFolder(folder / "run"))
    found = [kept.network(value).weights for value in kept.axes["backbone"]]
    assert found == ["torchvision", "caffe", None, None]
    alone = keep_all(load(folder, "backbone: vgg19\n"), INLINE, RunFolder(folder / "run"))
    assert alone.weights == "torchvision"


def test_a_plan_counts_and_measures_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def time_job(context: Any, job: Any) -> float:
        return 100.0 if job.settings.backbone == "lite" else 500.0

    monkeypatch.setattr("pipeline.schedule.estimate.time_job", time_job)
    manifest = load(folder, AXIS)
    assert show_plan(manifest.path, INLINE, as_json=False, measured=True) == 0
    said = capsys.readouterr().out
    assert "about 0:20:00 on cpu" in said
    assert "of these by backbone: lite 0:03:20, lite-own 0:16:40" in said
    assert "draft 0:20:00" in said
    assert "a worker through lite, counted" in said and "through lite-own, counted" in said
    (lite,) = [line.split() for line in said.splitlines() if " lite " in line and "│" in line]
    assert lite[-4:-1] == ["2", "│", "0"]
    assert run(folder, "backbone: lite\n").done == 2
    (folder / "m.yaml").write_text(HEAD + f"backbone: {OWN}\n")
    show_plan(manifest.path, INLINE, as_json=False, measured=False)
    said = capsys.readouterr().out
    assert re.search(r"│ backbone +│ lite-own", said) and "to run: 2 other weights" in said


def test_python_sweeps_them_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Manifest] = []
    monkeypatch.setattr(
        "pipeline.library.run_manifest", lambda manifest, *more: ran.append(manifest)
    )
    own = {"name": "lite", "weights": folder / "own.safetensors"}
    pictures = {"content": folder / "a.png", "style": folder / "s.png"}
    run_batch({"output": folder / "run", **pictures, "grid": {"backbone": ["lite", own]}}, "cpu")
    (manifest,) = ran
    assert manifest.axes["backbone"] == ("lite", {**own, "weights": str(own["weights"])})
