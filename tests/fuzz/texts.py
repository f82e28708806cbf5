"""Subjects that are text: manifests, maps, `--set`, other tools' commands.

In: a folder of small pictures. Out: attempts, each of them one damaged text read as users give it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from PIL import Image

from fuzz.mutations import mutated_text, mutated_words
from pipeline.commands import parse_settings
from pipeline.manifest import import_command, load_manifest
from pipeline.plan import Plan

Attempt = Callable[[], object]

_MANIFESTS = (
    """output: {path: run, format: files, name: "{folder}/{stem}__{style}__{grid}", others: none}
content: [photos/**/*.png, a.png, photos]
style:
  - b.png
  - name: dusk
    blend: {b.png: 2, c.png: 1.5}
masks: {content: "{stem}_mask.png", keep: "{stem}_keep.png"}
pairing: {sample: 1, seed: 3}
backbone: {name: lite, preprocessing: imagenet}
settings: {preset: default, size: 64, steps: [4, 3], content_layers: {conv4_2: 1.0}, init: c.png}
grid:
  style_weight: [1e3, 1e4, 1e5]
  seed: [0, 1]
  blend: [[1, 0], [0.5, 0.5]]
""",
    """# pairs
output: run
pairs:
  - [a.png, b.png]
  - {content: photos/d.png, style: b.png, settings: {size: 48x48, fit: exact}}
  - content: a.png
    style: {name: both, regions: {black: b.png, white: c.png}}
    label: one/two
    mask: c.png
backbone: vgg19
settings: &all
  strength: strong
  color: preserve_luminance
  style_layers: [relu1_1, r21, block3_conv1]
""",
    """output: run
content: a.png
style: b.png
pairing: zip
settings: {size: 128, background: "#ff00aa", format: webp, average_share: 0.2, init: noise}
grid: {preset: [default, fast], size: [64, 96]}
""",
)  # fmt: skip
_MAPS = {
    "map.csv": 'content,style,label,size,style_weight,steps\na.png,b.png,x,64,1e3,"[3, 2]"\n'
    'photos/d.png,"{""name"": ""two"", ""blend"": {""b.png"": 1, ""c.png"": 2}}",y,,,\n'
    "photos,c.png,,128,,4\n",
    "map.tsv": "content\tstyle\tmask\tkeep\na.png\tb.png\tc.png\t\nb.png\ta.png\t\tc.png\n",
    "map.json": '[{"content": "a.png", "style": "b.png", "settings": {"size": 64}},\n'
    ' {"content": "photos", "style": {"name": "n", "blend": {"b.png": 1, "c.png": 2}},\n'
    '  "label": "l", "settings": {"style_layers": {"conv1_1": 1}}}]\n',
}
_SETTINGS = (
    "size=64", "steps=[3, 2]", "style_weight=1e3", "style_layers={conv1_1: 1, conv2_1: 2}",
    "preset=fast", "init=a.png", "background=white", "seed=3", "average=0.5", "stroke=large",
)  # fmt: skip
_COMMANDS = {
    "neural-style": "th neural_style.lua -content_image a.png -style_image b.png,c.png "
    "-style_blend_weights 1,2 -image_size 256 -gpu 0 -content_layers relu4_2 -optimizer adam "
    "-tv_weight 1e-3 -init random -normalize_gradients -output_image o.png -seed 3",
    "neural-style-pt": "python3 neural_style.py -content_image a.png -style_image b.png "
    "-image_size 256 -normalize_gradients -pooling avg -original_colors 1 -style_scale 1.5",
    "style-transfer-pytorch": "style_transfer a.png b.png c.png -o o.png -s 256 -cw 0.015 "
    "--tv-weight 2 -ms 64 -i 100 -sw 1 2 --init content --style-scale-fac 1.2",
}


def make_world(folder: Path) -> None:
    """Small pictures, and what hostile folders have: a pipe, a loop of links, a link to nothing."""
    (folder / "photos").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "c.png", "photos/d.png")):
        Image.new("RGB", (40, 32), (50 * number, 90, 30)).save(folder / name)
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.png")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "dangling").symlink_to(folder / "nowhere")


def manifest(folder: Path, random: Random) -> Attempt:
    """A damaged manifest, read and planned."""
    path = folder / "m.yaml"
    path.write_bytes(mutated_text(random.choice(_MANIFESTS), random))
    return lambda: _read_and_plan(path)


def pair_map(folder: Path, random: Random) -> Attempt:
    """A damaged map of pairs, read and planned."""
    name = random.choice(sorted(_MAPS))
    (folder / name).write_bytes(mutated_text(_MAPS[name], random))
    path = folder / "with_map.yaml"
    path.write_text(f"output: run\npairs: {name}\nbackbone: lite\nsettings: {{size: 64}}\n")
    return lambda: _read_and_plan(path)


def _read_and_plan(path: Path) -> None:
    plan = Plan(load_manifest(path), lambda settings: "digest", 1_000_000)
    for job in itertools.islice(plan.jobs(), 20):
        str(job.problem), job.name


def command_settings(folder: Path, random: Random) -> Attempt:
    """Damaged words after `--set`."""
    words = random.sample(_SETTINGS, 3)
    if random.random() < 0.5:
        words = mutated_words(words, random)
    else:
        words[0] = mutated_text(words[0], random).decode("utf-8", "surrogateescape")
    return lambda: parse_settings(words)


def other_command(folder: Path, random: Random) -> Attempt:
    """A damaged command of another tool."""
    tool = random.choice(sorted(_COMMANDS))
    words = mutated_words(_COMMANDS[tool].split(), random)
    return lambda: import_command(tool, words)
