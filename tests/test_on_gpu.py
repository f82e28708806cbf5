"""What a CUDA GPU has to show: the same as a CPU, through the real driver.

Each test is written for any device and run on the CPU as well, so that it is known to run; what a
GPU alone can show is marked.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_work import BREAKS_ONCE, telling_work
from PIL import Image
from poison import work_after_poison
from worlds import World

from pipeline.commands import Options, batch_manifest, check_gpus
from pipeline.schedule import Progress, RunOptions, examine_devices, find_slots, run_plan
from pipeline.slot import Health, ask_devices, budget, compare, forget_all, total_memory
from pipeline.slot.fitting import Fitting
from pipeline.slot.loop import Loop
from pipeline.slot.precision import auto_precision
from pipeline.store import Record, RunFolder, RunLock

CARD = "cuda:0"
INLINE = RunOptions(engine="inline")
on_gpu = pytest.mark.gpu


@pytest.fixture(params=["cpu", pytest.param(CARD, marks=on_gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The CPU, and a card where there is one."""
    return str(request.param)


@pytest.fixture
def make(tmp_path: Path, picture: Callable[..., Path]) -> Callable[..., list[Record]]:
    """Runs a manifest of one content and style into a folder; its records in order."""
    picture("c.png", 1)
    picture("s.png", 2)

    def run(name: str, device: str, settings: str, grid: str = "", **more: Any) -> list[Record]:
        (tmp_path / "m.yaml").write_text(
            f"output: {name}\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
            f"settings: {{{settings}}}\n" + (f"grid: {{{grid}}}\n" if grid else "")
        )
        options = Options(device, tmp_path / "cache", **{"run": INLINE, **more})
        assert batch_manifest(tmp_path / "m.yaml", options, quiet=True) == 0
        records = sorted(RunFolder(tmp_path / name).records(), key=lambda record: record.name)
        for record in records:
            file = (tmp_path / name / record.output.path).read_bytes()
            assert hashlib.sha256(file).hexdigest() == record.output.sha256
        return records

    return run


def assert_same_losses(found: Record, wanted: Record, rel: float) -> None:
    for part in ("content", "style", "total"):
        assert found.losses[-1][part] == pytest.approx(wanted.losses[-1][part], rel=rel), part


# --- the card -------------------------------------------------------------------------------------


@on_gpu
def test_every_card_passes_its_check() -> None:
    found, unseen = examine_devices()
    assert found and unseen is None
    assert [health.problem for health in found] == [""] * len(found)
    assert find_slots("auto") == (tuple(health.device for health in found), ())


def test_a_device_passes_its_check(device: str) -> None:
    (health,) = ask_devices([device])
    assert (health.device, health.problem) == (device, "")
    assert health.precision == auto_precision(device)


@on_gpu
def test_a_card_says_what_it_is() -> None:
    (health,) = ask_devices([CARD])
    major, minor = torch.cuda.get_device_capability(CARD)
    assert (health.device, health.capability) == (CARD, f"{major}.{minor}")
    assert health.name == torch.cuda.get_device_name(CARD)
    assert 0 < health.free <= health.total == torch.cuda.mem_get_info(CARD)[1]


def test_doctor_compares_it_with_the_cpu(
    device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if device == "cpu":
        health = Health("cpu", "A CPU", precision=auto_precision("cpu"))
        monkeypatch.setattr("pipeline.commands.doctor.examine_devices", lambda: ([health], None))
    assert check_gpus() == 0
    said = capsys.readouterr().out
    assert f"{device} fp32" in said and "all is well" in said


def test_slots_of_a_device_get_half_of_it_each(device: str) -> None:
    whole = (
        total_memory() if device == "cpu" else torch.cuda.get_device_properties(device).total_memory
    )
    assert 0 < budget(device, 2) <= 0.45 * whole


# --- what it computes -----------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "auto"])
def test_a_first_step_has_the_cpus_losses_and_gradient(device: str, precision: str) -> None:
    chosen = auto_precision(device) if precision == "auto" else precision
    found = compare(device, chosen)
    assert found.agrees, found


@pytest.mark.parametrize("engine", ["local", "inline"])
def test_a_pair_ends_at_the_cpus_losses(
    engine: str, device: str, make: Callable[..., list[Record]]
) -> None:
    settings = "size: 64, steps: 20, scale_start: 0, precision: fp32"
    run = RunOptions(engine=engine)
    (wanted,), (found,) = (make(d.replace(":", ""), d, settings, run=run) for d in ("cpu", device))
    assert (found.device, found.precision) == (device, "fp32")
    assert_same_losses(found, wanted, 0.02)


@pytest.mark.parametrize(
    ("settings", "rel"),
    [
        ("preset: default, size: 64, steps: 8, precision: fp32", 0.02),
        ("preset: classic, size: 64, steps: 8, precision: fp32", 0.02),
        ("preset: classic, size: 64, steps: 5, optimizer: lbfgs, precision: fp32", 0.02),
        ("preset: classic, size: 64, steps: 8, precision: fp16", 0.05),
        ("preset: classic, size: 64, steps: 8, precision: bf16", 0.1),
        ("preset: default, size: 64, steps: 8, precision: bf16", 0.1),
    ],
)
def test_settings_end_at_the_cpus_losses_in_float32(
    settings: str, rel: float, device: str, make: Callable[..., list[Record]]
) -> None:
    exact = settings.replace("fp16", "fp32").replace("bf16", "fp32")
    (wanted,) = make("wanted", "cpu", exact)
    (found,) = make("found", device, settings)
    assert f"precision: {found.precision}" in settings
    assert_same_losses(found, wanted, rel)


def test_tiles_end_at_the_losses_of_the_whole(
    device: str, make: Callable[..., list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = "preset: classic, size: 96, steps: 5, scale_start: 0, precision: fp32"
    (whole,) = make("whole", "cpu", settings)
    asked: list[int] = []
    monkeypatch.setattr(Fitting, "tile", lambda self, scale: asked.append(scale.width) or 32)
    (tiled,) = make("tiled", device, settings)
    assert asked
    assert_same_losses(tiled, whole, 0.02)


@pytest.mark.parametrize(
    "settings",
    [
        "preset: classic, size: 64, steps: 12",
        "preset: classic, size: 64, steps: 12, optimizer: lbfgs",
        "preset: default, size: 64, steps: 24, neighbor_every: 4",
        "preset: gatys2016, size: 64, steps: 12",
        "preset: style-transfer-pytorch, size: 64, steps: 12",
    ],
    ids=["adam", "lbfgs", "neighbors renewed", "gatys2016", "style-transfer-pytorch"],
)
def test_graphs_end_where_calls_end(
    settings: str, device: str, make: Callable[..., list[Record]]
) -> None:
    settings += ", precision: fp32"
    called = make("called", device, settings, "seed: [0, 1]")
    graphed = make("graphed", device, settings, "seed: [0, 1]", graphs=True)
    for one, other in zip(graphed, called, strict=True):
        assert "not_graphed" not in {warning.code for warning in one.warnings}
        assert len(one.losses) == len(other.losses)
        assert_same_losses(one, other, 0.01)


def test_deterministic_runs_make_the_same_bytes(
    device: str, make: Callable[..., list[Record]], tmp_path: Path
) -> None:
    """Of pixels: a picture also says when it was made."""
    settings = "preset: default, size: 64, steps: 12, init: noise"
    # On a GPU in new processes, which read what their libraries are told in the environment.
    run = INLINE if device == "cpu" else RunOptions(engine="local")
    pixels = []
    for name in ("first", "second"):
        records = make(name, device, settings, "seed: [0, 1]", deterministic=True, run=run)
        assert len(records) == 2 and all(record.deterministic for record in records)
        for record in records:
            with Image.open(tmp_path / name / record.output.path) as image:
                pixels.append(image.tobytes())
    assert pixels[:2] == pixels[2:] and pixels[0] != pixels[1]


# --- when something goes wrong --------------------------------------------------------------------


@contextmanager
def room_for_some(device: str, held: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Memory runs out with a batch of 8 pictures, and does not with a few.

    Args:
        held: bytes that a run of one picture took of a GPU.
    """
    if device == "cpu":
        run = Loop.run

        def short(self: Loop, ready: Any) -> Any:
            if len(ready) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return run(self, ready)

        patch.setattr(Loop, "run", short)
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(3 * held / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def test_memory_that_runs_out_halves_the_batch(
    device: str, make: Callable[..., list[Record]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 64 if device == "cpu" else 512
    settings = f"preset: classic, size: {size}, steps: 2, scale_start: 0, precision: fp32"
    forget_all()
    if device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    make("one", device, settings)
    held = 0 if device == "cpu" else torch.cuda.max_memory_reserved(device)
    forget_all()
    if device != "cpu":
        torch.cuda.empty_cache()
    with room_for_some(device, held, monkeypatch):
        records = make("eight", device, settings, "seed: [0, 1, 2, 3, 4, 5, 6, 7]")
    assert len(records) == 8 and all(record.batch["size"] < 8 for record in records)
    said = (tmp_path / "eight" / "run.log").read_text()
    assert f"out of memory on {device}, room for" in said and "failed:" not in said


def run_in(device: str, slots: int, here: World, work: Any) -> Any:
    context = replace(here.context(), slots=(device,) * slots)
    with RunLock(here.store):
        here.store.begin("", {})
        return run_plan(here.plan, context, Progress(), RunOptions(), work)


def test_a_poisoned_context_ends_its_process_and_no_job(
    device: str, world: Callable[[list[int]], World]
) -> None:
    here = world([BREAKS_ONCE, 1, 2, 3])
    summary = run_in(device, 1, here, work_after_poison)
    assert (summary.done, summary.failed, summary.retries) == (4, 0, 1)
    assert not summary.retired and not summary.problem
    broke = int((here.store.path / "broke").read_text())
    assert broke not in {record.pid for record in here.done().values()}
    assert "CUDA error" in here.store.log.read_text()


# --- several slots --------------------------------------------------------------------------------


def test_two_slots_share_a_device(
    device: str, make: Callable[..., list[Record]], tmp_path: Path
) -> None:
    settings = "preset: classic, size: 64, steps: 3"
    run = RunOptions(engine="local")
    # Of two sizes, so that there are batches for both.
    grid = "size: [48, 64], seed: [0, 1, 2, 3]"
    records = make("two", f"{device},{device}", settings, grid, run=run)
    assert len(records) == 8 and {record.device for record in records} == {device}
    slots = RunFolder(tmp_path / "two").summaries()[""].slots
    assert sorted(slots) == ["0", "1"] and sum(use.jobs for use in slots.values()) == 8


def test_two_workers_see_their_own_device_alone(
    device: str, world: Callable[[list[int]], World]
) -> None:
    here = world(list(range(8)))
    count = torch.cuda.device_count()
    slots = (device, f"cuda:{min(1, count - 1)}") if device != "cpu" else ("cpu", "cpu")
    context = replace(here.context(), slots=slots)
    with RunLock(here.store):
        here.store.begin("", {})
        summary = run_plan(here.plan, context, Progress(), RunOptions(), telling_work)
    assert summary.done == 8
    for path in context.run.glob("seen-*.json"):
        seen = json.loads(path.read_text())
        assert seen["device"] == device and seen["label"] == slots[int(path.stem[-1])]
        assert seen["gpus"] == (count if device == "cpu" else 1)
