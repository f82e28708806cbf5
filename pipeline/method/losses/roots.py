"""The trace of the root of a product of covariances, with its slope.

In: symmetric positive matrices, ... x C x C. Out: one number each, and gradients. Knows nothing of
styles.

On a GPU it is made of matrix products alone: tr (R S R)^(1/2) is the sum of the singular values of
B = R L with S = L L^T, and so tr (U^T B) with U, the orthogonal factor of B. U comes by
Newton-Schulz iterations, of which each brings all singular values of X nearer to 1:
X <- a X + b (X X^T) X + c (X X^T)^2 X. Unlike R S R, whose eigenvalues are their squares, B keeps
in float32 what is small. Nothing waits for the device. A CPU finds eigenvalues sooner than it does
so many products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# For each iteration a, b, c: the odd polynomial of degree 5 that is nearest to 1 (a linear program)
# where the singular values then lie, from [SMALLEST, 1] on, but for those below a 20th of the
# largest. Were these aimed at too, what is in the middle would be thrown to nearly 0, and rounding
# would turn its sign.
SMALLEST = 2e-7
STEPS = (
    (6.752375, -18.350970, 13.263266),
    *[(4.056282, -3.978082, 1.037548)] * 8,
    (3.904303, -3.763743, 0.976297),
    (2.420076, -1.774137, 0.430241),
    (1.906207, -1.284257, 0.378444),
    (1.875, -1.25, 0.375),
)
# How far U^T U may be from the identity: more than rounding leaves, less than a picture shows.
_ALLOWED = 1e-2


def orthogonal_factor(matrices: Tensor) -> Tensor:
    """U of the polar decomposition B = U P, ... x C x C, in float32; of B = 0 it is 0.

    Singular values below `SMALLEST` of the Frobenius norm become less than 1 in U, never more.
    """
    norm = torch.linalg.matrix_norm(matrices)[..., None, None]
    x: Tensor = (matrices / norm.clamp_min(torch.finfo(matrices.dtype).tiny)).float()
    for a, b, c in STEPS:
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x


class _ByProducts(torch.autograd.Function):
    """tr (R S R)^(1/2); its gradient in S is 1/2 R U L^(-1), and there is none in R."""

    @staticmethod
    def forward(context: Any, covariances: Tensor, roots: Tensor) -> Tensor:
        lower, failed = torch.linalg.cholesky_ex(covariances)
        product = roots @ lower
        orthogonal = orthogonal_factor(product).to(product.dtype)
        one = torch.eye(product.shape[-1], dtype=product.dtype, device=product.device)
        apart = (orthogonal.mT @ orthogonal - one).abs().amax((-2, -1))
        context.save_for_backward(lower, roots, orthogonal)
        trace = (orthogonal * product).sum((-2, -1))
        good = (apart < _ALLOWED) & (failed == 0)  # False for NaN too
        return torch.where(good, trace, torch.nan)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        lower, roots, orthogonal = context.saved_tensors
        slope = torch.linalg.solve_triangular(lower, roots @ orthogonal, upper=False, left=False)
        return 0.25 * gradient[..., None, None] * (slope + slope.mT), None


class _ByEigenvalues(torch.autograd.Function):
    """tr (R S R)^(1/2); its gradient in S is 1/2 R (R S R)^(-1/2) R, and there is none in R.

    Eigenvectors' own derivatives, which are infinite where eigenvalues meet, never come up.
    """

    @staticmethod
    def forward(context: Any, covariances: Tensor, roots: Tensor) -> Tensor:
        matrices = roots @ covariances @ roots
        # A picture that has diverged must not take its batch along: eigh refuses NaN, so it gets
        # none, and the NaN goes on as the loss.
        finite = torch.isfinite(matrices).all(-1).all(-1)
        values, vectors = torch.linalg.eigh(torch.nan_to_num(matrices, 0.0, 0.0, 0.0))
        traces: Tensor = values.clamp_min(1e-16).sqrt()
        context.save_for_backward(roots @ vectors, traces)
        return torch.where(finite, traces.sum(-1), torch.nan)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        turned, traces = context.saved_tensors
        slope = (turned / traces[..., None, :]) @ turned.mT
        return 0.5 * gradient[..., None, None] * slope, None


def trace_of_root(covariances: Tensor, roots: Tensor) -> Tensor:
    """tr (R S R)^(1/2), with a gradient in S.

    A covariance that is not finite or not positive gives NaN and leaves the others of its batch
    alone; so does one for which the iterations have not ended.

    Args:
        covariances: S, ... x C x C, with no eigenvalue near 0.
        roots: R, of the same size; both are best in float64.
    """
    by = _ByEigenvalues if covariances.device.type == "cpu" else _ByProducts
    traces: Tensor = by.apply(covariances, roots)
    return traces
