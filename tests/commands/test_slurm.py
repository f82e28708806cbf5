"""A run as an array job; `sbatch` is a script of the test's own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.commands import array_job
from pipeline.errors import EngineError, ManifestError


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for name in ("a.png", "b.png", "c.png", "s.png"):
        picture(f"with space/{name}", ord(name[0]))
    path = tmp_path / "with space/m.yaml"
    path.write_text(
        "output: run\ncontent: [a.png, b.png, c.png]\nstyle: s.png\nbackbone: lite\n"
        "settings: {preset: classic, size: 48, steps: 1, scale_start: 0}\n"
    )
    return path


def put_sbatch(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    folder.mkdir()
    (folder / "sbatch").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Slurm and bash")
def test_the_tasks_of_the_script_make_the_whole_run(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--devices", "cpu", "--engine", "inline", "--quiet", "--no-report"]
    assert array_job(manifest, 1, ["--time=8:00"], words, submit=False) == 0
    script = capsys.readouterr().out
    run = manifest.parent / "run"
    assert "#SBATCH --array=1-1\n" in script and "#SBATCH --time=8:00\n" in script
    assert f"#SBATCH --output={manifest.parent}/nst-%A_%a.log\n" in script
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    subprocess.run(["bash"], input=script, text=True, check=True, timeout=300, env=environment)
    assert {path.stem for path in (run / "images").glob("*.png")} == {
        "a.png__s", "b.png__s", "c.png__s"
    }  # fmt: skip


def test_it_is_handed_over(
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_sbatch(tmp_path / "bin", monkeypatch, f"cat > '{tmp_path}/job'; echo submitted 7")
    assert array_job(manifest, 3, [], [], submit=True) == 0
    assert capsys.readouterr().out == "submitted 7\n"
    assert '--shard "$SLURM_ARRAY_TASK_ID/3"' in (tmp_path / "job").read_text()


def test_what_sbatch_refuses_is_told(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_sbatch(tmp_path / "bin", monkeypatch, "echo no such partition >&2; exit 1")
    with pytest.raises(EngineError, match="sbatch refused the job: no such partition"):
        array_job(manifest, 3, [], [], submit=True)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match=r"sbatch cannot be run .*leave --submit out"):
        array_job(manifest, 3, [], [], submit=True)


@pytest.mark.parametrize("option", ["gres=gpu:1", "--x\nrm -rf ~"])
def test_what_is_no_option_is_told(manifest: Path, option: str) -> None:
    with pytest.raises(EngineError, match="write an option of sbatch"):
        array_job(manifest, 3, [option], [], submit=False)


@pytest.mark.parametrize("word", ["--shard", "--shard=1/2", "--detach"])
def test_what_a_task_cannot_have_is_told(manifest: Path, word: str) -> None:
    with pytest.raises(EngineError, match="each task runs one shard; leave it out"):
        array_job(manifest, 3, [], ["--quiet", word], submit=False)


def test_a_manifest_that_is_wrong_is_told_before(manifest: Path) -> None:
    manifest.write_text("output: run\n")
    with pytest.raises(ManifestError):
        array_job(manifest, 3, [], [], submit=False)
