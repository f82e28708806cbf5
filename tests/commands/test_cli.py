"""Every command, as a user calls it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from cli import app, main
from pipeline.manifest import load_manifest, parse_value

ROOT = Path(__file__).parents[2]
runner = CliRunner()


def call(*words: object) -> str:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("c.png", 1)
    picture("s.png", 2)
    path = tmp_path / "m.yaml"
    path.write_text(
        "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
        "settings: {size: 48, steps: 2}\ngrid: {seed: [0, 1]}\n"
    )
    return path


@pytest.mark.parametrize("name", ["quickstart", "strengths", "vgg19_grid", "dataset", "gatys2016"])
def test_manifests_that_come_along_are_valid(name: str) -> None:
    manifest = load_manifest(ROOT / "manifests" / f"{name}.yaml")
    assert manifest.contents and manifest.styles


def test_plan_counts_and_lists(manifest: Path) -> None:
    text = call("plan", manifest, "--devices", "cpu")
    assert "2 jobs" in text and "seed" in text
    jobs = [json.loads(line) for line in call("plan", manifest, "--json").splitlines()]
    assert [job["swept"] for job in jobs] == [{"seed": 0}, {"seed": 1}]
    assert not any(job["done"] for job in jobs)
    assert not (manifest.parent / "run").exists()


def test_plan_estimates_from_a_trial_and_leaves_nothing(manifest: Path) -> None:
    assert "once they have started" in call("plan", manifest, "--measure", "--devices", "cpu")
    assert not (manifest.parent / "run").exists()


def test_batch_prints_json_lines(manifest: Path) -> None:
    lines = call("batch", manifest, "--json", "--devices", "cpu", "--engine", "inline").splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["done", "done", "end"]
    assert events[-1]["done"] == 2


def test_run_makes_one_picture_and_its_record(tmp_path: Path, manifest: Path) -> None:
    out = tmp_path / "deep" / "out.jpg"
    call(
        "run", tmp_path / "c.png", tmp_path / "s.png", "-o", out, "--backbone", "lite",
        "--set", "size=48", "--set", "steps=2", "--set", "style_layers=[conv1_1, conv2_1]",
        "--devices", "cpu",
    )  # fmt: skip
    record = json.loads(out.with_suffix(".json").read_text())
    assert out.read_bytes()[:2] == b"\xff\xd8"
    assert record["output"]["path"] == "out.jpg"
    assert set(record["settings"]["style_layers"]) == {"conv1_1", "conv2_1"}
    assert sorted(p.name for p in out.parent.iterdir()) == ["out.jpg", "out.json"]


def test_looking_things_up(tmp_path: Path) -> None:
    assert "properties" in json.loads(call("schema"))
    assert "gatys2016" in call("presets")
    assert "style_weight" in call("presets", "gatys2016")
    assert "lite" in call("weights")
    assert "lite" in call("weights", "download", "lite")
    assert "0 files" in call("cache", "info", "--cache-dir", tmp_path)
    assert "deleted 0 files" in call("cache", "clear", "--cache-dir", tmp_path)
    assert "torch" in call("doctor", "--cache-dir", tmp_path)


def test_the_readme_lists_every_setting_as_it_is() -> None:
    assert call("presets", "default", "--markdown") in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["batch", "nowhere.yaml"], "no such manifest"),
        (["run", "a.png", "b.png", "-o", "x.bmp"], "suffix must be one of"),
        (["run", "nowhere.png", "b.png", "-o", "x.png"], "nowhere.png: no such file"),
        (["run", "a.png", "b.png", "-o", "x.png", "--set", "stepps=3"], "did you mean 'steps'"),
        (["run", "a.png", "b.png", "-o", "x.png", "--set", "steps"], "write key=value"),
        (["run", "a.png", "b.png", "-o", "x.jpg", "--set", "depth=16"], "png or tiff is needed"),
        (["presets", "default2"], "'default2' is not a preset"),
        (["weights", "download", "vgg91"], "'vgg91' is not a backbone"),
    ],
)
def test_errors_go_to_standard_error_with_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_unknown_devices_are_refused(manifest: Path) -> None:
    result = runner.invoke(app, ["batch", str(manifest), "--devices", "cuda:99"])
    assert "cuda:99 is not on this machine" in str(result.exception)


def test_help_does_not_load_torch() -> None:
    code = "import sys, cli; from typer.testing import CliRunner as R; " \
        "R().invoke(cli.app, ['--help']); print('torch' in sys.modules)"  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert ran.stdout.strip() == "False"


def test_every_command_has_an_example() -> None:
    for command in ("batch", "plan", "run", "schema", "presets", "doctor", "distill", "weights"):
        assert "Example: nst" in call(command, "--help"), command


def test_vgg19_without_network_says_what_to_do(manifest: Path, tmp_path: Path) -> None:
    asked = "backbone: {name: vgg19, weights: torchvision}"
    manifest.write_text(manifest.read_text().replace("backbone: lite", asked))
    proxy = "http://127.0.0.1:9"
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "batch", str(manifest)],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "TORCH_HOME": str(tmp_path), "https_proxy": proxy, "HTTPS_PROXY": proxy},
    )  # fmt: skip
    assert ran.returncode == 2
    assert "`weights: caffe`" in ran.stderr and "backbone: lite" in ran.stderr
    shutil.rmtree(tmp_path / "hub", ignore_errors=True)


def test_a_run_is_reported_laid_out_and_ranked(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("batch", manifest, "--quiet", "--devices", "cpu", "--engine", "inline")
    run = manifest.parent / "run"
    assert "<title>run - nst</title>" in (run / "report.html").read_text()
    (run / "report.html").unlink()
    assert "2 jobs" in call("report", run)
    call("sheet", run, "--rows", "seed", "--cols", "style", "-o", run / "sheet.png", "--tile", 48)
    assert (run / "sheet.png").exists()
    ranked = [json.loads(line) for line in call("best", run, "--json").splitlines()]
    assert [row["rank"] for row in ranked] == [1, 2]
    assert ranked[0]["score"] <= ranked[1]["score"]
    assert "best.yaml" in call("best", run)
    monkeypatch.chdir(run.parent)
    call("best", "run")  # from a relative path as well
    winner = load_manifest(run / "best.yaml")
    assert winner.output == run / "best"
    seed = int(ranked[0]["name"].rsplit("seed-", 1)[1])
    assert [pair.settings for pair in winner.pairs] == [{"seed": seed}]
    wrong = runner.invoke(app, ["sheet", str(run), "--rows", "sed", "-o", "x.png"])
    assert wrong.exit_code and "content, style, seed" in str(wrong.exception)


def test_the_schema_that_comes_along_is_the_one_of_now_and_fits_what_is_valid() -> None:
    folder = ROOT / "manifests"
    schema = json.loads((folder / "nst.schema.json").read_text())
    assert schema == json.loads(call("schema"))
    validator = jsonschema.Draft202012Validator(schema)
    for path in folder.glob("*.yaml"):
        assert path.read_text().startswith("# yaml-language-server: $schema=nst.schema.json\n")
        validator.validate(parse_value(path.read_text()))
    valid = {
        "output": "x",
        "style": [{"name": "a", "blend": {"a.png": 1}}, "s.png"],
        "pairs": [["a.png", "b.png"], {"content": "a", "style": "b", "settings": {"seed": 1}}],
        "backbone": "lite",
        "settings": {"size": "640x480", "style_weight": 1000.0},
        "grid": {
            "size": [256, 512],
            "content_layers": [["conv4_1"], {"conv4_2": 2}],
            "backbone": ["lite", "vgg16", {"weights": "caffe"}, {"name": "lite", "weights": "f"}],
        },
    }
    validator.validate(valid)
    for wrong in ({"contnt": []}, {"settings": {"sed": 1}}, {"grid": {"seed": 3}}):
        assert not validator.is_valid({**valid, **wrong})
    for backbone in ("auto", None, {"name": "auto"}, {"wieghts": "f"}, "vgg91"):
        assert not validator.is_valid({**valid, "grid": {"backbone": [backbone]}})
    assert "Gram" not in schema["properties"] and schema["properties"]["grid"]["description"]


def test_tensorboard_holds_losses_and_the_picture(manifest: Path) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard"
    )
    words = ("batch", manifest, "-q", "--tensorboard", "--devices", "cpu", "--engine", "inline")
    call(*words)
    folder = manifest.parent / "run/tensorboard/c.png__s__seed-0"
    events = reader.EventAccumulator(str(folder)).Reload()
    record = json.loads((manifest.parent / "run/images/c.png__s__seed-0.json").read_text())
    found = [(e.step, e.value) for e in events.Scalars("loss/style")]
    assert found == [(p["step"], pytest.approx(p["style"])) for p in record["losses"]]
    assert (events.Images("picture")[0].width, events.Images("picture")[0].height) == (48, 37)
    before = sorted(folder.iterdir())
    call(*words)
    assert sorted(folder.iterdir()) == before


def test_no_report_when_none_is_wanted(manifest: Path) -> None:
    call("batch", manifest, "-q", "--no-report", "--devices", "cpu", "--engine", "inline")
    assert not (manifest.parent / "run/report.html").exists()


def test_a_very_large_run_is_not_reported_unasked(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.commands.afterwards.REPORTED", 1)
    call("batch", manifest, "-q", "--devices", "cpu", "--engine", "inline")
    assert not (manifest.parent / "run/report.html").exists()
    call("report", manifest.parent / "run")
    assert (manifest.parent / "run/report.html").exists()


def test_status_groups_failures_by_reason(manifest: Path, picture: Callable[..., Path]) -> None:
    call("batch", manifest, "--quiet", "--devices", "cpu", "--engine", "inline")
    broken = picture("d.png", 3)
    manifest.write_text(manifest.read_text().replace("c.png", "[c.png, d.png]"))
    broken.write_bytes(broken.read_bytes()[:-300])
    batch = ["batch", str(manifest), "-q", "--devices", "cpu", "--engine", "inline"]
    assert runner.invoke(app, batch).exit_code == 1
    result = runner.invoke(app, ["status", str(manifest.parent / "run"), "--watch"])
    assert result.exit_code == 1
    assert "2 of 4 jobs done" in result.stdout
    assert "2 failed: " in result.stdout and "    d.png__s__seed-1" in result.stdout


def test_the_environment_says_which_devices(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_DEVICES", "cuda:77")
    for words, device in (([], "cuda:77"), (["--devices", "cuda:78"], "cuda:78")):
        wrong = runner.invoke(app, ["batch", str(manifest), "--quiet", *words])
        assert wrong.exit_code and f"--devices {device}" in str(wrong.exception)


def test_the_image_is_made_of_what_is_there() -> None:
    words = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [w for line in words if line.startswith("COPY ") and "--from" not in line
              for w in line.split()[1:-1]]  # fmt: skip
    allowed = (ROOT / ".dockerignore").read_text().split()
    assert copied and all((ROOT / name).exists() and f"!{name}" in allowed for name in copied)
    packed = re.search(r"only-include = (.*)", (ROOT / "pyproject.toml").read_text())
    assert packed and set(json.loads(packed[1])) <= set(copied)
