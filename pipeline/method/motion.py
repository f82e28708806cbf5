"""What moves between two frames: warping by optical flow, and where a flow is not to be trusted.

In: pictures and flows as tensors. Out: tensors. Knows nothing of how flows are estimated.

Ruder, Dosovitskiy, Brox, "Artistic Style Transfer for Videos", GCPR 2016 (arXiv 1604.08610),
section 4; its thresholds are those of Sundaram, Brox, Keutzer, "Dense Point Trajectories by
GPU-accelerated Large Displacement Optical Flow", ECCV 2010.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def warp(images: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """The picture whose position p shows what `images` show at p + flow(p).

    Args:
        images: B x C x H x W; what lies beyond the edge is the edge's.
        flow: B x 2 x H x W in px, across then down.
        mode: `bilinear` or `bicubic`.
    """
    height, width = images.shape[-2:]
    places = _places(flow) + flow
    # grid_sample's corners are -1 and 1 at the centers of the corner pixels.
    size = places.new_tensor([max(width - 1, 1), max(height - 1, 1)]).view(1, 2, 1, 1)
    grid = (places / size * 2 - 1).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=True)


def _places(flow: Tensor) -> Tensor:
    """The positions of all pixels, 1 x 2 x H x W: across, then down."""
    height, width = flow.shape[-2:]
    down = torch.arange(height, dtype=flow.dtype, device=flow.device)
    across = torch.arange(width, dtype=flow.dtype, device=flow.device)
    return torch.stack((across.expand(height, width), down[:, None].expand(height, width)))[None]


def disoccluded(forward: Tensor, backward: Tensor) -> Tensor:
    """Where the second frame shows what the first one did not, B x 1 x H x W of truths.

    With the forward flow w seen from the second frame, w'(p) = w(p + b(p)) (equation 4), and the
    backward flow b: |w' + b|^2 > 0.01 (|w'|^2 + |b|^2) + 0.5 (equation 5). Beside the paper,
    positions that come from beyond the edge are disoccluded too.

    Args:
        forward: from the first frame to the second, B x 2 x H x W in px.
        backward: from the second to the first, likewise.
    """
    seen = warp(forward, backward)
    apart = (seen + backward).square().sum(1, keepdim=True)
    together = (seen.square() + backward.square()).sum(1, keepdim=True)
    height, width = backward.shape[-2:]
    source = _places(backward) + backward
    last = source.new_tensor([width - 1, height - 1]).view(1, 2, 1, 1)
    # Half a pixel: an edge pixel is still the nearest one.
    beyond = ((source < -0.5) | (source > last + 0.5)).any(1, keepdim=True)
    return (apart > 0.01 * together + 0.5) | beyond


def motion_boundaries(backward: Tensor) -> Tensor:
    """Where motion changes from one object to the next, B x 1 x H x W of truths.

    |grad u|^2 + |grad v|^2 > 0.01 |b|^2 + 0.002 for the backward flow b = (u, v) (equation 6);
    gradients are central differences.

    Args:
        backward: B x 2 x H x W in px.
    """
    down, across = torch.gradient(backward, dim=(2, 3))
    steep = (down.square() + across.square()).sum(1, keepdim=True)
    return steep > 0.01 * backward.square().sum(1, keepdim=True) + 0.002


def consistency(forward: Tensor, backward: Tensor) -> Tensor:
    """The weights c of the temporal loss, B x 1 x H x W: 0 where the second frame shows what the
    first did not and at motion boundaries, else 1.

    Args:
        forward, backward: as for `disoccluded`.
    """
    left_out = disoccluded(forward, backward) | motion_boundaries(backward)
    return (~left_out).to(backward.dtype)


def flicker(images: Tensor, moved: Tensor, weights: Tensor) -> Tensor:
    """Mean of c |x - w(x')|: how far pictures are from the ones before, moved by the flow; B values
    in [0, 1], 0 where nothing is to be compared.

    Args:
        images, moved: B x 3 x H x W in [0, 1].
        weights: c, B x 1 x H x W.
    """
    apart = ((images - moved).abs().mean(1, keepdim=True) * weights).sum((1, 2, 3))
    return apart / weights.sum((1, 2, 3)).clamp_min(1)
