"""What wants a CUDA GPU: the same as on a CPU, through the real driver."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_work import telling_work
from worlds import World

from pipeline.commands import Options, batch_manifest
from pipeline.schedule import Progress, RunOptions, examine_devices, find_slots, run_plan
from pipeline.slot import ask_devices, budget, compare
from pipeline.slot.precision import auto_precision
from pipeline.store import Record, RunFolder, RunLock

pytestmark = pytest.mark.gpu
CARD = "cuda:0"


def records(folder: Path) -> Iterator[Record]:
    return RunFolder(folder).records()


def test_every_card_passes_its_check() -> None:
    found, unseen = examine_devices()
    assert found and unseen is None
    assert [health.problem for health in found] == [""] * len(found)
    assert find_slots("auto") == (tuple(health.device for health in found), ())


def test_a_card_says_what_it_is() -> None:
    (health,) = ask_devices([CARD])
    major, minor = torch.cuda.get_device_capability(CARD)
    assert (health.device, health.capability) == (CARD, f"{major}.{minor}")
    assert health.name == torch.cuda.get_device_name(CARD)
    assert 0 < health.free <= health.total == torch.cuda.mem_get_info(CARD)[1]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "auto"])
def test_a_first_step_has_the_cpus_losses_and_gradient(precision: str) -> None:
    found = compare(CARD, auto_precision(CARD) if precision == "auto" else precision)
    assert found.agrees, found


@pytest.mark.parametrize("engine", ["local", "inline"])
def test_a_pair_ends_at_the_cpus_losses(
    engine: str, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("c.png", 1)
    picture("s.png", 2)
    text = (
        "output: {}\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
        "settings: {{size: 64, steps: 20, scale_start: 0, precision: fp32}}\n"
    )
    ended = {}
    for device in ("cpu", CARD):
        name = device.replace(":", "")
        (tmp_path / "m.yaml").write_text(text.format(name))
        options = Options(device, run=RunOptions(engine=engine))
        assert batch_manifest(tmp_path / "m.yaml", options, quiet=True) == 0
        (record,) = records(tmp_path / name)
        assert record.device == device and record.precision == "fp32"
        ended[device] = record.losses[-1]
    for part in ("content", "style", "total"):
        assert ended[CARD][part] == pytest.approx(ended["cpu"][part], rel=0.02)


@pytest.mark.parametrize("preset", ["default", "classic", "gatys2016", "style-transfer-pytorch"])
def test_steps_as_graphs_end_at_the_same_losses(
    preset: str, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("c.png", 1)
    picture("s.png", 2)
    ended = {}
    for graphs in (False, True):
        name = f"graphs-{graphs}"
        (tmp_path / "m.yaml").write_text(
            f"output: {name}\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
            f"settings: {{preset: {preset}, size: 96, steps: 20, precision: fp32}}\n"
        )
        options = Options(CARD, run=RunOptions(engine="inline"), graphs=graphs)
        assert batch_manifest(tmp_path / "m.yaml", options, quiet=True) == 0
        (record,) = records(tmp_path / name)
        assert "not_graphed" not in [warning.code for warning in record.warnings]
        ended[graphs] = record.losses[-1]
    for part in ("content", "style", "total"):
        assert ended[True][part] == pytest.approx(ended[False][part], rel=0.02)


def test_two_workers_see_their_own_card_alone(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world(list(range(8)))
    count = torch.cuda.device_count()
    slots = ("cuda:0", f"cuda:{min(1, count - 1)}")
    context = replace(here.context(), slots=slots)
    with RunLock(here.store):
        here.store.begin("", {})
        summary = run_plan(here.plan, context, Progress(), RunOptions(), telling_work)
    assert summary.done == 8
    for path in context.run.glob("seen-*.json"):
        seen = json.loads(path.read_text())
        assert seen["device"] == CARD and seen["label"] == slots[int(path.stem[-1])]
        assert seen["gpus"] == 1


def test_slots_of_a_card_get_half_of_it_each() -> None:
    assert 0 < budget(CARD, 2) <= 0.45 * torch.cuda.get_device_properties(CARD).total_memory
