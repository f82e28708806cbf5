"""What commands load before they answer, and how `nst` is started."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.version import __version__

ROOT = Path(__file__).parents[2]
CODE = """
import sys
from pathlib import Path
sys.argv = ["nst", *sys.argv[1:]]
import cli
try:
    cli.main()
except SystemExit as ended:
    print("exit", ended.code, file=sys.stderr)
heavy = "torch numpy scipy PIL rich filelock tifffile tarfile xml asyncio http".split()
print("heavy:", *(name for name in heavy if name in sys.modules), file=sys.stderr)
print("loaded", len([name for name in sys.modules if name.split(".")[0] == "torch"]),
      file=sys.stderr)
"""


def start(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", CODE, *map(str, words)],
        capture_output=True, text=True, cwd=folder, env=environment, check=False,
    )  # fmt: skip


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("c.png", 1)
    picture("s.png", 2)
    path = tmp_path / "m.yaml"
    path.write_text("output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n")
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["--help"], ["--version"], ["presets"], ["presets", "gatys2016"], ["schema"],
        ["cache", "info"], ["cache", "clear"], ["plan", "m.yaml"], ["plan", "m.yaml", "--json"],
        ["import", "neural-style", "--", "-content_image", "a.jpg"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_needs_no_torch_does_not_load_it(words: list[str], manifest: Path) -> None:
    ran = start(*words, folder=manifest.parent)
    assert ran.returncode == 0 and ran.stdout, ran.stderr
    assert "loaded 0" in ran.stderr


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--help"], ""), (["--version"], ""), (["schema"], ""), (["cache", "info"], ""),
        (["presets"], "rich"), (["presets", "fast"], "rich"),
        (["presets", "fast", "--markdown"], ""), (["status", "run"], "tarfile"),
        (["plan", "m.yaml", "--json"], "PIL tarfile"), (["plan", "m.yaml"], "PIL rich tarfile"),
        (["plan", "wrong.yaml"], "PIL tarfile"), (["batch", "wrong.yaml"], "PIL tarfile"),
        (["import", "neural-style", "-seed", "1"], "PIL"),
    ],
    ids=str,
)  # fmt: skip
def test_commands_load_no_more_than_they_need(
    words: list[str], needed: str, manifest: Path
) -> None:
    """Counted in modules, since seconds depend on the machine: each of these takes a twentieth of a
    second or more."""
    folder = manifest.parent
    (folder / "wrong.yaml").write_text("contnt: c.png\noutput: run\nstyle: s.png\n")
    (folder / "run").mkdir()
    (folder / "run/run.json").write_text('{"jobs": 3, "done": 2, "started": "now"}')
    if "m.yaml" in words:
        start(*words, folder=folder)  # what the shipped network is, is noted from then on
    ran = start(*words, folder=folder)
    (heavy,) = (line for line in ran.stderr.splitlines() if line.startswith("heavy:"))
    assert set(heavy.split()[1:]) <= set(needed.split()), ran.stderr


def test_a_batch_loads_torch_in_its_workers_alone(manifest: Path) -> None:
    quick = "settings: {size: 48, steps: 1, scale_start: 0, style_loss: gram, neighbor_weight: 0}\n"
    manifest.write_text(manifest.read_text() + quick)
    ran = start("batch", "m.yaml", "--devices", "cpu", folder=manifest.parent)
    assert ran.returncode == 0 and "1 done, 0 failed" in ran.stdout, ran.stderr
    assert "loaded 0" in ran.stderr


def test_weights_are_listed_without_torch_once_their_digests_are_noted(tmp_path: Path) -> None:
    for _ in range(2):
        ran = start("weights", folder=tmp_path)
        assert ran.returncode == 0 and "network's digest" in ran.stdout, ran.stderr
    assert "loaded 0" in ran.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["batch", "wrong.yaml"], "unknown key; did you mean 'content'?"),
        (["batch", "m.yaml", "--engine", "slurm"], "--engine slurm: unknown"),
        (["batch", "m.yaml", "--shard", "5/4"], "write i/n"),
        (["batch", "m.yaml", "--workers", "2"], "--workers goes with --engine dask or ray"),
        (["status", "nowhere"], "no run there; name the `output` folder"),
        (["table", "m.yaml"], "/run: no run there; name the `output` folder"),
        (["batch", "s3://bucket/x.yaml"], "s3://bucket/x.yaml: a manifest is a local file; copy"),
        (["run", "c.png", "s.png", "-o", "x.bmp"], "suffix must be one of"),
        (["presets", "defualt"], "is not a preset"),
    ],
)
def test_errors_are_told_before_torch_is_loaded(
    words: list[str], message: str, manifest: Path
) -> None:
    (manifest.parent / "wrong.yaml").write_text("contnt: c.png\noutput: run\nstyle: s.png\n")
    ran = start(*words, folder=manifest.parent)
    assert "exit 2" in ran.stderr and message in ran.stderr
    assert "loaded 0" in ran.stderr


def test_status_of_a_run_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text('{"jobs": 3, "done": 2, "started": "now"}')
    ran = start("status", "run", folder=tmp_path)
    assert "2 of 3 jobs done" in ran.stdout and "loaded 0" in ran.stderr


@pytest.mark.parametrize("words", [["--version"], ["-m", "pipeline", "--version"]])
def test_the_version_is_said(words: list[str]) -> None:
    command = [sys.executable, "cli.py", *words] if words[0] != "-m" else [sys.executable, *words]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout == f"nst {__version__}\n"


@pytest.mark.parametrize("words", [["-h"], ["batch", "-h"], ["cache", "-h"], ["weights", "-h"]])
def test_h_is_help(words: list[str], tmp_path: Path) -> None:
    ran = start(*words, folder=tmp_path)
    assert ran.returncode == 0 and "Usage" in ran.stdout


def test_names_that_are_not_utf8_can_be_printed(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    name = os.fsdecode(b"caf\xe9.png")
    (manifest.parent / "c.png").rename(manifest.parent / name)
    manifest.write_text(manifest.read_text().replace("c.png", "caf*.png"))
    ran = start("plan", manifest, "--json", folder=manifest.parent)
    assert r"caf\udce9.png" in ran.stdout, ran.stderr
