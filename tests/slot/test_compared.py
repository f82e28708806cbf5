"""What style losses make of their targets: once a style, wherever it is asked for."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch

from pipeline.manifest import load_manifest
from pipeline.method.losses.style import STATISTICS
from pipeline.plan import Batch, Plan, scales_of
from pipeline.slot import RunContext, run_batch
from pipeline.slot.compared import compared_by
from pipeline.slot.contents import read_content
from pipeline.slot.kept import Kept
from pipeline.slot.process import Process
from pipeline.slot.session import read_ahead
from pipeline.slot.styles import Prepared
from pipeline.slot.tensors import scale_inputs
from pipeline.store import RunFolder

LAYERS = ("conv1_1", "conv2_1")


def targets(seed: int, regions: int = 0) -> list[dict[str, torch.Tensor]]:
    """Second moments and means of a style at some scales."""
    generator = torch.Generator().manual_seed(seed)
    scales = []
    for _ in range(2):
        points = torch.rand(*([regions] if regions else []), 6, 50, generator=generator)
        moments = torch.cat((points @ points.mT / 50, points.mean(-1, keepdim=True)), -1)
        scales.append(dict.fromkeys(LAYERS, moments))
    return scales


@pytest.mark.parametrize("regions", [0, 3])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_target_is_compared_by_its_mean_and_root(regions: int, threads: int) -> None:
    styles = {"a": targets(1, regions), "b": targets(2, regions)}
    found = compared_by(styles, "wasserstein", "cpu", Kept(), threads)
    for name, scales in styles.items():
        for given, own in zip(scales, found[name], strict=True):
            moments = given["conv2_1"].double()
            mean, root, lift = own["conv2_1"]
            count = max(regions, 1)
            assert mean.shape == (count, 6, 1) and root.shape == (count, 6, 6)
            covariance = moments[..., :6] - moments[..., 6:] @ moments[..., 6:].mT
            own_lift = 1e-4 * covariance.diagonal(dim1=-2, dim2=-1).mean(-1)
            lifted = covariance + own_lift[..., None, None] * torch.eye(6).double()
            torch.testing.assert_close(root @ root, lifted.view(count, 6, 6))
            torch.testing.assert_close(lift.flatten(), own_lift.flatten())


def test_a_gpu_is_given_it_in_float32() -> None:
    styles, kept = {"a": targets(1)}, Kept()
    (wide, _), (narrow, _) = (
        compared_by(styles, "wasserstein", device, kept)["a"] for device in ("cpu", "cuda:0")
    )
    for precise, rounded in zip(wide["conv1_1"], narrow["conv1_1"], strict=True):
        assert precise.dtype == torch.float64 and rounded.dtype == torch.float32
    (mean, root, lift), (own_mean, own_root, own_lift) = wide["conv1_1"], narrow["conv1_1"]
    assert torch.equal(own_mean, mean.float()) and torch.equal(own_lift, lift.float())
    torch.testing.assert_close(own_root.mT @ own_root, (root @ root).float())


def test_for_apples_gpu_it_is_left_to_the_cpu() -> None:
    """Which has the precision, and what torch lacks there."""
    assert compared_by({"a": targets(1)}, "wasserstein", "mps", Kept()) == {"a": ()}


def test_it_is_found_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    kept, styles = Kept(), {"a": targets(1)}
    first = compared_by(styles, "wasserstein", "cpu", kept)["a"]
    again = compared_by({**styles, "b": targets(2)}, "wasserstein", "cpu", kept)["a"]
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert len(calls) == 2 * 2 * 2  # of two styles at two scales, a layer each


@pytest.mark.parametrize("loss", [name for name in STATISTICS if name != "wasserstein"])
def test_what_takes_no_time_is_left_to_the_device(loss: str) -> None:
    assert compared_by({"a": targets(1)}, loss, "cpu", Kept()) == {"a": ()}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each target whose root is found from now on, how many there were of it."""
    calls: list[int] = []
    real = STATISTICS["wasserstein"]

    def prepare(target: torch.Tensor, device: str | None = None) -> tuple[torch.Tensor, ...]:
        calls.append(len(target))
        return real.prepare(target, device)

    own = dataclasses.replace(real, prepare=prepare)
    monkeypatch.setitem(STATISTICS, "wasserstein", own)
    return calls


@pytest.fixture
def run(tmp_path: Path, picture: Callable[..., Path]) -> tuple[RunContext, Batch]:
    """A batch of six jobs, three of each of two styles, at some scales."""
    picture("c.png", 1, (96, 80)), picture("s1.png", 2), picture("s2.png", 3)
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: c.png\nstyle: [s1.png, s2.png]\nbackbone: lite\n"
        "settings: {preset: classic, style_loss: wasserstein, size: 96, scale_start: 48,\n"
        "  steps: [12, 12], tolerance: 0.5}\n"
        "grid: {style_weight: [1, 20, 400]}\n"
    )
    jobs = tuple(Plan(load_manifest(tmp_path / "m.yaml"), lambda s: "", 1).jobs())
    store = RunFolder(tmp_path / "run")
    store.begin("", {})
    context = RunContext(store.path, tmp_path / "cache", "lite", None, None)
    return context, Batch(0, jobs, scales_of(jobs[0]))


def test_a_batch_finds_it_once_a_style_and_scale(
    run: tuple[RunContext, Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where jobs settle, and for the batches after it."""
    calls, process, (context, batch) = counted(monkeypatch), Process(), run
    report = run_batch(context, 0, batch, process)
    assert [outcome.status for outcome in report.outcomes] == ["done"] * 6
    assert calls == [1] * (2 * len(batch.scales) * 5)
    run_batch(context, 0, batch, process)
    assert len(calls) == 2 * len(batch.scales) * 5


def test_it_is_found_while_the_batch_before_runs(
    run: tuple[RunContext, Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, batch = run
    run_batch(context, 0, batch, Process())  # fills the cache on disk
    process, calls = Process(), counted(monkeypatch)
    ended: Future[None] = Future()
    pool = process.ahead._pools.of(1)
    read_ahead(dataclasses.replace(context, threads=1), 0, [batch], process)
    pool.submit(ended.set_result, None)
    ended.result(60)
    assert len(calls) == 2 * len(batch.scales) * 5
    run_batch(context, 0, batch, process)
    assert len(calls) == 2 * len(batch.scales) * 5


def test_a_style_that_is_not_in_the_cache_is_left_to_its_batch(
    run: tuple[RunContext, Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, process, (context, batch) = counted(monkeypatch), Process(), run
    read_ahead(dataclasses.replace(context, threads=1), 0, [batch], process)
    ended: Future[None] = Future()
    process.ahead._pools.of(1).submit(ended.set_result, None)
    ended.result(60)
    assert not calls and len(process.ahead.styles._read) == 2


def test_a_scale_has_each_style_once(run: tuple[RunContext, Batch]) -> None:
    _, batch = run
    content = read_content(batch.jobs[0].content.path, "white", False, None)
    styles = {name: targets(seed) for seed, name in enumerate(("a", "b"))}
    found = compared_by(styles, "wasserstein", "cpu", Kept())
    names = ["b", "a", "b"]
    ready = [
        Prepared(job, content, (), tuple(styles[name]), (), 1, 0, (), style=name,
                 compared=found[name])
        for job, name in zip(batch.jobs, names, strict=False)
    ]  # fmt: skip
    given = scale_inputs(batch.scales[1], 1, ready, "cpu", 0)
    assert given.style_rows is not None and given.style_rows.tolist() == [0, 1, 0]
    assert len(given.contents) == 1
    for layer, values in given.styles.items():
        assert torch.equal(values, torch.stack([styles[name][1][layer] for name in "ba"]))
        for part, parts in enumerate(zip(*(found[name][1][layer] for name in "ba"), strict=True)):
            assert torch.equal(given.prepared[layer][part], torch.cat(parts))
    alone = scale_inputs(batch.scales[1], 1, ready[:2], "cpu", 0)
    assert alone.style_rows is None and len(alone.styles["conv1_1"]) == 2
