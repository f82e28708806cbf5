"""Optical flow by name: OpenCV's DIS, and torchvision's RAFT where its weights are.

In: two pictures of one size. Out: a flow. A new way to find one is a line in `FLOWS`, and a word
among the choices of the setting `flow`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor

from pipeline.errors import WeightsError
from pipeline.pictures import dis_flow, to_tensor

_LEAST = 128  # px; RAFT's coarsest correlations need this much
_GRID = 8  # px that one of RAFT's positions spans


def _dis(first: Image.Image, second: Image.Image) -> Tensor:
    return torch.from_numpy(dis_flow(first, second)).permute(2, 0, 1)


@cache
def _raft_network() -> Any:
    """RAFT as torchvision has it.

    Raises:
        WeightsError: its weights are not in torch's cache; they are never downloaded.
    """
    from torchvision.models.optical_flow import Raft_Large_Weights, raft_large

    name = Raft_Large_Weights.DEFAULT.url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        raise WeightsError(
            f"flow: raft needs {path}, which is not there and is not downloaded unasked; put it "
            f"there, or choose flow: dis"
        )
    network = raft_large(weights=None)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


@torch.no_grad()
def _raft(first: Image.Image, second: Image.Image) -> Tensor:
    """Teed, Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020."""
    network = _raft_network()
    pair = torch.stack([to_tensor(image) * 2 - 1 for image in (first, second)])
    height, width = pair.shape[-2:]
    right, below = (max(_LEAST, -(-side // _GRID) * _GRID) - side for side in (width, height))
    padded = F.pad(pair, (0, right, 0, below), mode="replicate")
    flow: Tensor = network(padded[:1], padded[1:])[-1][0]
    return flow[:, :height, :width]


# first, second -> where each pixel of the first is in the second, less where it is in the first;
# 2 x H x W in px, across then down.
FLOWS: dict[str, Callable[[Image.Image, Image.Image], Tensor]] = {"dis": _dis, "raft": _raft}
