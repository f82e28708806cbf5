"""The tensors of one scale: what contents, masks and `keep` become on the device."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.manifest import load_manifest
from pipeline.pictures import guides_of, shares_of
from pipeline.plan import Plan, content_key, scales_of
from pipeline.slot.contents import read_content
from pipeline.slot.styles import Prepared
from pipeline.slot.tensors import scale_inputs


@pytest.fixture
def ready(tmp_path: Path, picture: Callable[..., Path]) -> list[Prepared]:
    """Two jobs of each of two contents with a mask and `keep`, by turns."""
    picture("a.png", 1, (96, 80)), picture("b.png", 2, (96, 80)), picture("s.png", 3)
    for seed, name in enumerate(("a_m.png", "b_m.png", "a_k.png", "b_k.png")):
        levels = np.random.default_rng(seed).integers(0, 256, (80, 96), dtype=np.uint8)
        Image.fromarray(levels).save(tmp_path / name)
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: [a.png, b.png]\nstyle: s.png\nbackbone: lite\n"
        "masks: {content: '{stem}_m.png', keep: '{stem}_k.png'}\n"
        "settings: {preset: classic, size: 96, scale_start: 48}\ngrid: {seed: [0, 1]}\n"
    )
    jobs = list(Plan(load_manifest(tmp_path / "m.yaml"), lambda s: "", 1).jobs())
    scales = scales_of(jobs[0])
    keys = [content_key(job, scales) for job in jobs]
    read = {key: read_content(*key) for key in keys}
    targets = ({"conv1_1": torch.ones(2, 3, 3)},) * len(scales)
    made = [
        Prepared(job, read[key], (), targets, (0.25, 0.75), 1, 0, (), style="s")
        for job, key in zip(jobs, keys, strict=True)
    ]
    return sorted(made, key=lambda one: one.job.settings.seed)


def test_each_job_has_its_contents_regions_and_shares(ready: list[Prepared]) -> None:
    scales = scales_of(ready[0].job)
    for index, scale in enumerate(scales):
        given = scale_inputs(scale, index, ready, "cpu", 0)
        assert given.rows.tolist() == [0, 1, 0, 1] and len(given.contents) == 2
        assert given.regions is not None and given.keep is not None
        assert given.regions.shares.tolist() == [[0.25, 0.75]] * 4
        for job, guides, keep in zip(ready, given.regions.guides, given.keep, strict=True):
            mask, own = job.content.mask, job.content.keep
            assert mask is not None and own is not None
            assert torch.equal(guides, guides_of(mask, scale.width, scale.height))
            assert torch.equal(keep[0], shares_of(own, scale.width, scale.height))


def test_where_only_some_jobs_keep_more_the_others_are_all_alike(ready: list[Prepared]) -> None:
    plain = {id(one.content): replace(one.content, mask=None, keep=None) for one in ready[:1]}
    some = [replace(one, content=plain.get(id(one.content), one.content)) for one in ready]
    some = [replace(one, content=replace(one.content, mask=None)) for one in some]
    scale = scales_of(ready[0].job)[0]
    given = scale_inputs(scale, 0, some, "cpu", 0)
    assert given.regions is None and given.keep is not None
    assert bool((given.keep[::2] == 1).all()) and bool((given.keep[1::2] < 1).any())
    none = [replace(one, content=replace(one.content, keep=None)) for one in some]
    assert scale_inputs(scale, 0, none, "cpu", 0).keep is None
