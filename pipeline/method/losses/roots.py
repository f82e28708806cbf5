"""How far two covariances are apart, with the slope.

In: a symmetric positive matrix S and a root R of another, R^T R, ... x C x C. Out: the squared
Bures distance tr S + tr R^T R - 2 tr (R S R^T)^(1/2), and its gradient in S,
I - R^T (R S R^T)^(-1/2) R. Knows nothing of styles.

On a GPU it is made of matrix products alone, in float32: with S = L L^T and U, the orthogonal
factor of B = R L, the distance is ||R - U L^T||^2, a difference taken before it is squared, so that
little is lost where it is small. U comes by Newton-Schulz iterations, of which each brings all
singular values of X nearer to 1: X <- a X + b (X X^T) X + c (X X^T)^2 X. Unlike R S R^T, whose
eigenvalues are their squares, B keeps in float32 what is small. Each row of X rounds by its own
size, so rows of R should be of the sizes that the matrix has in its directions: those of its
eigenvectors, each times its eigenvalue's root. In the symmetric root all rows are alike, and what
is small drowns in the rounding of what is large. Nothing waits for the device. A CPU finds
eigenvalues in float64 sooner than it does so many products.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.method.losses.squares import energy
from pipeline.method.onednn import linear, multiplies
from pipeline.method.products import full_products

# For each iteration a, b, c: the odd polynomial of degree 5 that is nearest to 1 (a linear program)
# where the singular values then lie, from [SMALLEST, 1] on, but for those below a 20th of the
# largest. Were these aimed at too, what is in the middle would be thrown to nearly 0, and rounding
# would turn its sign. The first ten are made for singular values up to `MARGIN` times the largest:
# above what they are made for they rise eleven times as fast as their argument, and what rounding
# puts there would grow with each.
SMALLEST = 2e-7
MARGIN = 1.01
STEPS = (
    (6.685520, -17.811270, 12.619541),
    *[(4.016121, -3.861087, 0.987191)] * 8,
    (3.954040, -3.775184, 0.963114),
    (2.486913, -1.831553, 0.436538),
    (1.917196, -1.296124, 0.379640),
    (1.875, -1.25, 0.375),
)
# What of tr S may be missing in ||U L^T||^2 by rounding.
_MISSING = 1e-4


def orthogonal_factor(matrices: Tensor) -> Tensor:
    """U of the polar decomposition B = U P, N x C x C, in float32; of B = 0 it is 0.

    Singular values below `SMALLEST` of the Frobenius norm become less than 1 in U, never more.
    """
    norm = torch.linalg.matrix_norm(matrices, keepdim=True)
    x: Tensor = (matrices / norm.clamp_min(torch.finfo(matrices.dtype).tiny)).float()
    for a, b, c in STEPS:
        square = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


def _lower(covariances: Tensor, rounding: Tensor) -> Tensor:
    """L of S = L L^T, N x C x C.

    Where S is steeper than rounding allows, that of S with rounding on its diagonal: what is far
    smaller is lost, and the rest stays. Where even that has none, of its diagonal alone.
    """
    plain, failed = torch.linalg.cholesky_ex(covariances)
    raised = covariances.clone()
    diagonal = raised.diagonal(dim1=-2, dim2=-1).add_(rounding)
    other, failed_too = torch.linalg.cholesky_ex(raised)
    alone = torch.diag_embed(torch.maximum(diagonal, rounding).sqrt())
    other = torch.where(failed_too.view(-1, 1, 1).bool(), alone, other)
    return torch.where(failed.view(-1, 1, 1).bool(), other, plain)


@torch.no_grad()
def by_products(covariances: Tensor, roots: Tensor, rounding: Tensor) -> tuple[Tensor, Tensor]:
    """`covariance_distance` by matrix products."""
    with full_products():
        lower = _lower(covariances, rounding)
        product = torch.bmm(roots, lower)
        orthogonal = orthogonal_factor(product).to(product.dtype)
        turned = torch.bmm(orthogonal, lower.mT)
        # All of tr S, but where B is so small that the iterations have not ended: R is, there.
        missing = torch.sub(energy(lower), energy(turned), alpha=1 + _MISSING).clamp_min_(0)
        distance = energy(roots - turned) + missing
        both = torch.bmm(roots.mT, orthogonal)
        slope = torch.linalg.solve_triangular(lower, both, upper=False, left=False)
        slope = (slope + slope.mT).mul_(-0.5)
        slope.diagonal(dim1=-2, dim2=-1).add_(1)
        return distance, slope


def _by_rows(left: Tensor, right: Tensor) -> Tensor:
    """A B^T, N x C x C."""
    return linear(left, right) if multiplies(left) else left @ right.mT


@torch.no_grad()
def by_eigenvalues(covariances: Tensor, roots: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    """`covariance_distance` by the eigenvalues of R S R, for a symmetric R.

    Eigenvectors' own derivatives, which are infinite where eigenvalues meet, never come up.
    """
    matrices = roots @ covariances @ roots
    # A picture that has diverged must not take its batch along: eigh refuses NaN, so it gets
    # none, and the NaN goes on as the loss.
    finite = torch.isfinite(matrices.sum((-2, -1)))
    if not bool(finite.all()):
        matrices = torch.nan_to_num(matrices, 0.0, 0.0, 0.0)
    values, vectors = torch.linalg.eigh(matrices)
    traces: Tensor = values.clamp_min(1e-16).sqrt()
    whole = covariances.diagonal(dim1=-2, dim2=-1).sum(-1) + roots.square().sum((-2, -1))
    # What is small has been found; a slope in float32 is as exact as the features that it goes to.
    with full_products():
        turned = _by_rows(roots.float(), (vectors / traces.sqrt()[..., None, :]).float().mT)
        slope = _by_rows(turned, turned).neg_()
    slope.diagonal(dim1=-2, dim2=-1).add_(1)
    distance = (whole - 2 * traces.sum(-1)).clamp_min(0)
    return torch.where(finite, distance, torch.nan), slope


def covariance_distance(
    covariances: Tensor, roots: Tensor, rounding: Tensor
) -> tuple[Tensor, Tensor]:
    """The squared Bures distance of S and R^T R, and its gradient in S.

    A covariance that is not finite gives NaN and leaves the others of its batch alone.

    Args:
        covariances: S, N x C x C.
        roots: R, of the same size and precision: on a CPU symmetric and in float64, elsewhere best
            with each row in the direction of one eigenvector.
        rounding: how much S may be wrong along its diagonal, N x C, at least 0.

    Returns:
        N, and N x C x C.
    """
    by = by_eigenvalues if covariances.device.type == "cpu" else by_products
    return by(covariances, roots, rounding)
