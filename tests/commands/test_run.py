"""What a run is told before it begins, and what keeps it from beginning."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gpus
import pytest
import torch
from batches import INLINE, Said, records, summary
from PIL import Image

from pipeline.commands import (
    Options,
    batch_manifest,
    clean_run,
    prepare_run,
    run_manifest,
    show_plan,
    write_report,
)
from pipeline.commands.prepare import keep_weights
from pipeline.commands.run import job_bytes
from pipeline.errors import (
    DeviceError,
    ManifestError,
    MissingPackageError,
    RunFolderError,
    WeightsError,
)
from pipeline.manifest import load_manifest
from pipeline.method import inspect_weights
from pipeline.schedule import RunOptions
from pipeline.store import RunFolder

INLINE_AUTO = replace(INLINE, devices="auto")
HEAD = "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Callable[[str], Path]:
    picture("c.png", 1)
    picture("s.png", 2)

    def write(text: str) -> Path:
        path = tmp_path / "m.yaml"
        path.write_text(HEAD + text)
        return path

    return write


Write = Callable[[str], Path]


def test_old_names_are_warned_of_by_runs_and_plans(manifest: Write, capsys: Capture) -> None:
    path = manifest("settings: {size: 48, steps: 1, optimiser: adam}\n")
    assert batch_manifest(path, INLINE, quiet=True, with_report=False) == 0
    assert "optimiser is spelled optimizer now" in capsys.readouterr().err
    show_plan(path, Options("cpu"), as_json=True, measured=False)
    printed = capsys.readouterr()
    assert "optimiser is spelled optimizer now" in printed.err
    assert printed.out.count("\n") == 1  # lines of JSON stay such


def test_a_folder_whose_run_died_is_taken_over(manifest: Write) -> None:
    path = manifest("settings: {size: 48, steps: 1}\n")
    store = RunFolder(path.parent / "run")
    store.state.mkdir(parents=True)
    (store.state / "owner.json").write_text('{"host": "h", "pid": 1, "since": "then"}')
    said = Said()
    run_manifest(load_manifest(path), INLINE, said)
    assert said.lines == ["going on where process 1 on h since then ended without notice"]


def test_16_bits_without_their_package_are_told_first(
    manifest: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def import_module(name: str, package: str | None = None):  # type: ignore[no-untyped-def]
        if name == "tifffile":
            raise ImportError
        return real(name, package)

    monkeypatch.setattr("pipeline.pictures.write.importlib.import_module", import_module)
    path = manifest("settings: {size: 48, depth: 16}\ngrid: {format: [png, tiff]}\n")
    with pytest.raises(MissingPackageError, match=r"depth 16 as tiff .* '.\[deep\]'"):
        batch_manifest(path, INLINE, quiet=True)
    assert not (path.parent / "run/images").exists()


def test_other_files_want_a_folder_to_come_from(manifest: Write) -> None:
    path = manifest("")
    path.write_text(HEAD.replace("output: run", "output: {path: run, others: copy}"))
    with pytest.raises(ManifestError, match=r"others: copy: `content` names no folder"):
        batch_manifest(path, INLINE, quiet=True)


def test_parts_but_the_first_leave_what_is_written_once(manifest: Write) -> None:
    path = manifest("pairing: {sample: 1}\nsettings: {size: 48, steps: 1}\n")
    second = Options("cpu", run=RunOptions(engine="inline", shard=(2, 2)))
    batch_manifest(path, second, quiet=True, with_report=False)
    assert not (path.parent / "run/pairs.csv").exists()


def test_a_plan_over_the_limit_is_refused_before_anything_is_made(manifest: Write) -> None:
    path = manifest("grid: {seed: [0, 1, 2]}\n")
    with pytest.raises(ManifestError, match=r"3 jobs .* are more than --max-jobs 2"):
        batch_manifest(path, Options("cpu", max_jobs=2, run=INLINE.run), quiet=True)
    assert not (path.parent / "run").exists()


def test_the_normalized_network_is_planned_estimated_and_kept(
    manifest: Write, capsys: Capture
) -> None:
    path = manifest("settings: {size: 48, steps: 2}\ngrid: {normalized: [false, true]}\n")
    show_plan(path, Options("cpu"), as_json=False, measured=True)
    said = capsys.readouterr().out
    assert "2 jobs, 0 done, 2 to run" in said and "of memory a worker" in said
    store = RunFolder(path.parent / "run")
    assert not store.path.exists()
    assert batch_manifest(path, INLINE, quiet=True, with_report=False) == 0
    assert store.means.exists()
    digests = {r["backbone"]["weights_sha256"] for r in records(store.path).values()}
    assert len(digests) == 2
    batch_manifest(path, INLINE, quiet=True, with_report=False)
    assert summary(store.path)["already_done"] == 2
    capsys.readouterr()
    show_plan(path, Options("cpu"), as_json=False, measured=True)
    assert "nothing to do" in capsys.readouterr().out
    store.means.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="damaged normalization file"):
        batch_manifest(path, INLINE, quiet=True)


def test_what_was_done_is_said_in_words(manifest: Write, capsys: Capture) -> None:
    path = manifest("settings: {size: 48, steps: 1}\ngrid: {seed: [0, 1]}\n")
    run = path.parent / "run"
    assert batch_manifest(path, INLINE) == 0
    said = capsys.readouterr().out
    assert (
        "2 done, 0 failed, of 2 jobs in" in said and f"pictures and records: {run}/images" in said
    )
    assert f"all at a glance: {run}/report.html" in said
    (run / "images").rename(run / "gone")
    assert batch_manifest(path, INLINE, with_report=False) == 0
    assert "all at a glance" not in capsys.readouterr().out  # it is of the run before
    assert batch_manifest(path, INLINE) == 0
    assert f"nothing to do: 2 of 2 jobs are done in {run}" in capsys.readouterr().out
    text = path.read_text().replace("output: run", "output: {path: run2, format: webdataset}")
    path.write_text(text.replace("c.png", "[c.png, d.png]"))
    (path.parent / "d.png").write_bytes((path.parent / "c.png").read_bytes()[:-200])
    assert batch_manifest(path, INLINE) == 1
    said = capsys.readouterr().out
    assert "1 shard in" in said and "reasons of failures: nst status" in said
    assert not (path.parent / "run2/report.html").exists()


def test_a_page_that_cannot_be_made_does_not_fail_the_run(
    manifest: Write, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def fails(store: RunFolder) -> None:
        raise RunFolderError("no room for the page")

    monkeypatch.setattr("pipeline.report.build_report", fails)
    path = manifest("settings: {size: 48, steps: 1}\n")
    assert batch_manifest(path, INLINE, quiet=True) == 0
    assert "no report: no room for the page" in capsys.readouterr().err


def test_what_a_page_leaves_out_is_said(manifest: Write, capsys: Capture) -> None:
    path = manifest("settings: {size: 48, steps: 1}\n")
    batch_manifest(path, INLINE, quiet=True, with_report=False)
    (path.parent / "run/images/zz.json").write_text("{")
    write_report(path.parent / "run")
    said = capsys.readouterr().err
    assert "left out 1 that cannot be read: images/zz.json: not JSON" in said


def test_only_run_folders_are_cleaned(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run folder \(no plan.json in it\)"):
        clean_run(tmp_path)


def test_a_draw_of_blends_and_regions_is_written_as_it_is_read(
    manifest: Write,
) -> None:
    path = manifest("")
    folder = path.parent
    path.write_text(
        "output: run\ncontent: c.png\nbackbone: lite\npairing: {sample: 3}\n"
        "masks: {content: '{stem}_mask.png'}\nsettings: {size: 48, steps: 1}\nstyle:\n"
        "  - s.png\n  - {name: mix, blend: {s.png: 3, c.png: 1}}\n"
        "  - {name: two, regions: {white: s.png, black: c.png}}\n"
    )
    Image.new("L", (72, 56), 200).save(folder / "c_mask.png")
    assert batch_manifest(path, INLINE, quiet=True, with_report=False) == 0
    path.write_text(
        "output: run\npairs: run/pairs.csv\nbackbone: lite\nsettings: {size: 48, steps: 1}\n"
    )
    assert batch_manifest(path, INLINE, quiet=True, with_report=False) == 0
    assert summary(folder / "run")["already_done"] == 3


def test_labels_go_along_with_a_dataset(manifest: Write, picture: Callable[..., Path]) -> None:
    path = manifest("settings: {size: 48, steps: 1}\n")
    picture("data/cat/1.png")
    (path.parent / "data/labels.csv").write_text("1,cat")
    text = path.read_text().replace("output: run", "output: {path: run, others: copy}")
    path.write_text(text.replace("content: c.png", "content: data"))
    assert batch_manifest(path, INLINE, quiet=True, with_report=False) == 0
    assert (path.parent / "run/images/labels.csv").read_text() == "1,cat"


def test_memory_is_counted_only_of_layers_that_the_network_has(manifest: Write) -> None:
    whole = load_manifest(manifest("settings: {size: 48}\ngrid: {size: [64, 1024]}\n"))
    small = load_manifest(manifest("settings: {size: 512}\n"))
    none = load_manifest(
        manifest(
            "settings: {size: 96, neighbor_weight: 0, style_layers: [conv5_4], "
            "content_layers: [conv5_3]}\n"
        )
    )
    lite = inspect_weights("lite")
    assert job_bytes(whole, lite) == pytest.approx(4 * job_bytes(small, lite))
    assert job_bytes(none, lite) == 0
    pairs = load_manifest(manifest("settings: {size: 512, optimizer: lbfgs, corrections: 50}\n"))
    more = job_bytes(pairs, lite) - job_bytes(small, lite)
    assert more == pytest.approx(512**2 * (2 * 50 + 4) * 3 * 4)


def test_the_cpu_is_shared_out_among_the_jobs(manifest: Write) -> None:
    read = load_manifest(manifest("settings: {size: 48}\ngrid: {seed: [0, 1, 2, 3]}\n"))
    store = RunFolder(read.output)
    plan, context, digests = prepare_run(read, Options("auto"), store)
    assert len(plan) == 4 and len(digests["", False]) == 64
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert 1 <= len(context.slots) <= 4 and set(context.slots) == {"cpu"}


def test_a_run_goes_on_without_a_gpu_that_is_sick_and_says_so(
    manifest: Write, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """With the real process that finds it so: there is no driver here, whatever torch counts."""
    if torch.cuda.is_available():
        pytest.skip("a driver is here")
    gpus.install(monkeypatch, gpus.T4)
    path = manifest("settings: {size: 48, steps: 1, precision: fp32}\n")
    assert batch_manifest(path, INLINE_AUTO, with_report=False) == 0
    why = "left out: cuda:0: "  # and then what this build of torch says
    printed = capsys.readouterr()
    assert why in printed.out and why in printed.err
    (record,) = records(path.parent / "run").values()
    assert record["device"] == "cpu"
    (kept,) = summary(path.parent / "run")["retired"]
    assert kept.startswith(why) and why in (path.parent / "run/run.log").read_text()
    with pytest.raises(DeviceError, match="--devices cuda:0: cuda:0: "):
        batch_manifest(path, replace(INLINE_AUTO, devices="cuda:0"), with_report=False)


@pytest.mark.parametrize(
    "text",
    [
        "settings: {size: 48, style_layers: [conv1_1, relu5_4]}\n",
        "settings: {size: 48}\ngrid: {content_layers: [[conv4_2], [conv5_4]]}\n",
        "settings: {size: 48}\npairs:\n- {content: c.png, style: s.png, "
        "settings: {style_layers: [r54]}}\n",
    ],
)
def test_layers_that_the_network_lacks_are_found_before_anything_runs(
    text: str, manifest: Write
) -> None:
    path = manifest(text)
    with pytest.raises(WeightsError, match=r"no conv5_4 \(nearest: conv5_1\)"):
        run_manifest(load_manifest(path), INLINE, Said())
    assert not list((path.parent / "run").rglob("*.json"))


def test_a_run_goes_on_with_the_weights_that_it_began_with(
    manifest: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes into torch's cache meanwhile."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    small = "settings: {size: 32, steps: 1, scale_start: 0, style_layers: [conv1_1], "
    small += "content_layers: [conv1_1]}\n"
    path = manifest(small)
    path.write_text(path.read_text().replace("backbone: lite", "backbone: vgg19"))
    first = load_manifest(path)
    run_manifest(first, INLINE, Said())
    store = RunFolder(path.parent / "run")
    header = store.header()
    assert header and header.backbone.weights == "caffe" and "Simonyan" in header.backbone.about
    assert "Simonyan" in next(iter(records(store.path).values()))["backbone"]["weights"]
    assert keep_weights(first, store).weights == "caffe"
    for other in ("backbone: lite", "backbone: {name: vgg19, weights: torchvision}"):
        path.write_text(path.read_text().replace("backbone: vgg19", other))
        changed = load_manifest(path)
        assert keep_weights(changed, store) == changed
        path.write_text(path.read_text().replace(other, "backbone: vgg19"))


def test_a_runs_notes_on_weights_lie_in_its_own_cache_folder(
    manifest: Write, tmp_path: Path
) -> None:
    path = manifest(
        "settings: {size: 32, steps: 1, scale_start: 0, style_layers: [conv1_1], "
        "content_layers: [conv1_1]}\n"
    )
    path.write_text(path.read_text().replace("lite", "{name: vgg19, weights: caffe}"))
    run_manifest(load_manifest(path), replace(INLINE, cache=tmp_path / "own"), Said())
    assert (tmp_path / "own" / "weights.json").is_file()
    assert not (tmp_path / "cache" / "weights.json").exists()
