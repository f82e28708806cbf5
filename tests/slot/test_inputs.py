"""A record never lies: what is read for a job are the bytes that its key was made of."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from batches import INLINE, records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.commands.run import prepare_run
from pipeline.manifest import load_manifest
from pipeline.plan import Batch, scales_of
from pipeline.slot import run_batch
from pipeline.slot.process import Process
from pipeline.store import RunFolder

TEXT = (
    "output: run\nbackbone: lite\ncontent: c.png\nstyle: s.png\n"
    "masks: {{content: '{{stem}}_m.png', style: '{{stem}}_m.png', keep: '{{stem}}_k.png'}}\n"
    "settings: {{size: 48, steps: 1, scale_start: 0, style_loss: gram, neighbor_weight: 0, "
    "init: {init}}}\n"
)
FILES = ("c.png", "s.png", "c_m.png", "s_m.png", "c_k.png", "start.png")


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("c.png", 1), picture("s.png", 2), picture("start.png", 3)
    for name in ("c_m.png", "s_m.png"):
        mask = Image.new("L", (72, 56), 0)
        mask.paste(255, (0, 0, 36, 56))
        mask.save(tmp_path / name)
    Image.linear_gradient("L").resize((72, 56)).save(tmp_path / "c_k.png")
    return tmp_path


def exchanged(path: Path) -> bytes:
    """Another picture of the same size in place of a file; what was there."""
    before = path.read_bytes()
    image = Image.open(path)
    image.transpose(Image.Transpose.ROTATE_180).save(path)
    assert path.read_bytes() != before
    return before


@settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    names=st.sets(st.sampled_from(FILES), min_size=1),
    init=st.sampled_from(["start.png", "content_matched"]),
    cached=st.booleans(),
)
def test_inputs_exchanged_since_the_plan_make_no_picture(
    folder: Path, names: set[str], init: str, cached: bool
) -> None:
    for old in ("run", "cache"):
        shutil.rmtree(folder / old, ignore_errors=True)
    manifest = folder / "m.yaml"
    manifest.write_text(TEXT.format(init=init))
    store = RunFolder(folder / "run")
    plan, context, _ = prepare_run(load_manifest(manifest), INLINE, store)
    store.begin("", {})
    (job,) = plan.jobs()
    batch = Batch(0, (job,), scales_of(job))
    read = {"c.png", "s.png", "c_m.png", "s_m.png", "c_k.png"}
    read |= {"start.png"} if init == "start.png" else set()
    if cached:  # then nothing of the style is read any more, but for a beginning in its colors
        assert run_batch(context, 0, batch, Process()).outcomes[0].status == "done"
        shutil.rmtree(folder / "run/images")
        read -= {"s.png"} if init == "start.png" else set()
    before = {name: exchanged(folder / name) for name in names}
    (outcome,) = run_batch(context, 0, batch, Process()).outcomes
    for name, data in before.items():
        (folder / name).write_bytes(data)
    if names & (read - ({"s_m.png"} if cached else set())):
        assert outcome.status == "failed" and "changed since the plan" in (outcome.error or "")
        assert any(str(folder / name) in (outcome.error or "") for name in names)
        assert not records(folder / "run")
        assert not list((folder / "run/images").rglob("*.png"))
    elif outcome.status == "done":
        assert set(records(folder / "run")) == {f"{job.name}.json"}
    assert run_batch(context, 0, batch, Process()).outcomes[0].status == "done"
    (record,) = records(folder / "run").values()
    assert record["key"] == job.key
