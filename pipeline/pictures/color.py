"""Color: keeping the content picture's, as in Gatys et al. 2016, "Preserving Color in Neural
Artistic Style Transfer" (arXiv 1606.05897); and moving it to the style's.

In and out: RGB tensors 3 x H x W in [0, 1]. Knows nothing of files or networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Rec. 601 luma: Y of YIQ, YUV and YCbCr.
_LUMA = (0.299, 0.587, 0.114)


def luminance(pixels: Tensor) -> Tensor:
    """Y of 3 x H x W, as H x W."""
    return (pixels * pixels.new_tensor(_LUMA)[:, None, None]).sum(0)  # no product of less precision


def grayscale(pixels: Tensor) -> Tensor:
    """The luminance in all three channels, 3 x H x W."""
    return luminance(pixels).expand(3, -1, -1).contiguous()


def with_chroma_of(pixels: Tensor, content: Tensor) -> Tensor:
    """The luminance of one picture with the chroma of another, both 3 x H x W; clipped to [0, 1].

    The same difference added to all three channels changes Y and leaves I and Q as they are.

    >>> red, gray = torch.tensor([1.0, 0.0, 0.0]), torch.full((3,), 0.5)
    >>> with_chroma_of(gray.view(3, 1, 1), red.view(3, 1, 1)).flatten().tolist()  # clipped
    [1.0, 0.20100000500679016, 0.20100000500679016]
    """
    return (content + (luminance(pixels) - luminance(content))).clamp(0, 1)


def match_luminance(style: Tensor, content: Tensor) -> Tensor:
    """The style's luminance with the content's mean and deviation, in all three channels.

    L' = sigma_c / sigma_s (L_s - mu_s) + mu_c (Gatys et al. 2016, equation 10). Not clipped: the
    network takes what lies outside of [0, 1].
    """
    own, wanted = luminance(style), luminance(content)
    matched = wanted.std() / own.std().clamp_min(1e-6) * (own - own.mean()) + wanted.mean()
    return matched.expand(3, -1, -1).contiguous()


def _moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    flat = pixels.flatten(1).double()
    mean = flat.mean(1, keepdim=True)
    covariance = (flat - mean) @ (flat - mean).T / flat.shape[1]
    # So that pictures of one color, or gray ones, have a covariance that can be inverted.
    return mean, covariance + 1e-6 * torch.eye(3, dtype=torch.float64, device=pixels.device)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


def _cholesky(own: Tensor, wanted: Tensor) -> Tensor:
    """A = L_c L_s^-1 (equation 6)."""
    matrix: Tensor = torch.linalg.cholesky(wanted) @ torch.linalg.inv(torch.linalg.cholesky(own))
    return matrix


def _image_analogies(own: Tensor, wanted: Tensor) -> Tensor:
    """A = S_c^(1/2) S_s^(-1/2) (equation 7)."""
    matrix: Tensor = _root(wanted) @ torch.linalg.inv(_root(own))
    return matrix


TRANSFERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cholesky": _cholesky,
    "image_analogies": _image_analogies,
}


@dataclass(frozen=True)
class ColorMove:
    """x' = A (x - m) + m' on colors.

    Attributes:
        matrix: A, 3 x 3.
        before, after: m and m', 3 x 1.
    """

    matrix: Tensor
    before: Tensor
    after: Tensor

    def __call__(self, pixels: Tensor) -> Tensor:
        """Moved colors of 3 x H x W; not clipped."""
        flat = pixels.flatten(1).double()
        moved = self.matrix @ (flat - self.before) + self.after
        return moved.to(pixels.dtype).view_as(pixels)


def move_to_styles(
    content: Tensor, styles: Sequence[Tensor], weights: Sequence[float]
) -> ColorMove:
    """The least move of the content's colors that gives them the styles' mean and covariance.

    A = S_c^(-1/2) (S_c^(1/2) S_s S_c^(1/2))^(1/2) S_c^(-1/2), the optimal transport of one Gaussian
    to another; several styles' moments are those of their pixels thrown together by weight.

    Args:
        content: 3 x H x W.
        styles: 3 x h x w each.
        weights: of the styles; they sum to 1.
    """
    each = [_moments(style) for style in styles]
    after = sum((w * m for (m, _), w in zip(each, weights, strict=True)), torch.zeros(3, 1))
    within = [
        w * (c + (m - after) @ (m - after).T) for (m, c), w in zip(each, weights, strict=True)
    ]
    before, own = _moments(content)
    root = _root(own)
    inverse = torch.linalg.inv(root)
    matrix = inverse @ _root(root @ torch.stack(within).sum(0) @ root) @ inverse
    return ColorMove(matrix, before, after)


def match_colors(style: Tensor, content: Tensor, transfer: str) -> Tensor:
    """The style picture with the content's mean color and covariance: x' = A x + b (equations 1
    to 4), 3 x H x W; clipped to [0, 1].

    Args:
        transfer: one of `TRANSFERS`, which give the matrix A.
    """
    mean, covariance = _moments(style)
    wanted_mean, wanted = _moments(content)
    matrix = TRANSFERS[transfer](covariance, wanted)
    matched = matrix @ (style.flatten(1).double() - mean) + wanted_mean
    return matched.to(style.dtype).view_as(style).clamp(0, 1)


def recolor_style(style: Tensor, content: Tensor, color: str, transfer: str) -> Tensor:
    """The style picture as the setting `color` wants it compared, 3 x H x W.

    Args:
        content: the content picture in its own colors, 3 x h x w.
    """
    if color == "preserve_histogram":
        return match_colors(style, content, transfer)
    return match_luminance(style, content) if color == "preserve_luminance" else style


def recolor_result(result: Tensor, content: Tensor, color: str) -> Tensor:
    """The finished picture as the setting `color` wants it, 3 x H x W.

    Args:
        content: the content picture in its own colors, of the same size.
    """
    if color in ("preserve_luminance", "original_colors"):
        return with_chroma_of(result, content)
    return result
