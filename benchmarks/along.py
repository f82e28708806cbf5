"""Whether a network misleads on the way: its own style loss beside what VGG-19 says.

    python benchmarks/along.py --content photo.jpg --style painting.jpg --steps 15 30 60 120

One picture from the content with Gram losses at one size, which leave a network no help. Printed
after each of so many steps are the network's own content and style loss and the judge's figures of
the picture as it is then; where the network's style loss falls and the judge's rises, the network
sees something else than VGG-19 does. At the end, which of them rose.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

from backbone_quality import inputs_of, weights_of
from judge import Judge

from pipeline.manifest import Settings
from pipeline.method import Backbone, optimize, schedule_scales
from pipeline.pictures import read_size

_RISE = 1.01  # less than this is no rise


def along(
    network: str, content: Path, style: Path, settings: Settings, counts: list[int]
) -> list[dict[str, float]]:
    """The losses and the judge's figures after each of `counts` steps."""
    backbone = Backbone(weights_of(network), settings.layers, settings.pooling, settings.padding)
    scales = schedule_scales(settings, *read_size(content))
    judge, rows = Judge(), []
    for step in optimize(
        backbone, [settings], scales, inputs_of(backbone, content, style, settings, scales)
    ):
        if step.number in counts:
            found = judge.score(step.images[0], content, style)
            rows.append({
                "steps": step.number,
                "own content": round(float(step.losses.content[0]), 4),
                "own style": round(float(step.losses.style[0]), 4),
                "style": round(found.style, 3),
                "sliced": round(found.sliced, 3),
                "content": round(found.content, 3),
            })  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Makes the picture and prints the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="+", default=[15, 30, 60, 120])
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--network", default="lite", help="vgg19, lite, or a file")
    parser.add_argument("--preset", default="classic")
    given = parser.parse_args()
    own = {"size": given.size, "steps": max(given.steps), "scale_start": 0}
    settings = Settings(preset=given.preset, **own)
    rows = along(given.network, given.content, given.style, settings, given.steps)
    risen = {
        name: [later["steps"] for now, later in pairwise(rows) if later[name] > _RISE * now[name]]
        for name in ("own style", "style", "sliced")
    }
    print(json.dumps({"rose by": risen}))


if __name__ == "__main__":
    main()
