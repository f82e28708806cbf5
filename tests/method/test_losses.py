import numpy as np
import pytest
import torch

from pipeline.manifest import Settings, preset_values
from pipeline.method import (
    Backbone,
    Kinds,
    Regions,
    StyleTransferLoss,
    gram,
    job_weights,
    load_weights,
    style_targets,
)
from pipeline.method.losses.content import content_paper, content_relative
from pipeline.method.losses.sliced_wasserstein import directions
from pipeline.method.losses.squares import energy
from pipeline.method.losses.statistic import measured
from pipeline.method.losses.style import STATISTICS, style_sums
from pipeline.method.losses.total_variation import TV_LOSSES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 6, 7))
P = RNG.normal(size=(2, 5, 6, 7))
S = RNG.normal(size=(2, 5, 4, 9))


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def style_loss(kind: str, x: torch.Tensor, style: torch.Tensor, name: str = "gram") -> torch.Tensor:
    """The style loss of one layer's features, B values."""
    return of_means(kind, *(means(name, v) for v in (x, style)), x.shape[1], name)


def means(name: str, features: torch.Tensor) -> torch.Tensor:
    """A style statistic's means over the positions of features, B x C x K."""
    sums, counts = style_sums(name, features)
    return (sums / counts[..., None, None])[:, 0]


def of_means(
    kind: str, found: torch.Tensor, wanted: torch.Tensor, channels: int, name: str
) -> torch.Tensor:
    """The style loss of one layer's means, B values."""
    statistic = STATISTICS[name]
    prepared = statistic.prepare(wanted)
    divisor = statistic.divisor(kind, wanted, prepared, channels)
    return measured(kind, statistic.distance(found, prepared), divisor)


def reference_gram(features: np.ndarray) -> np.ndarray:
    flat = features.reshape(features.shape[0], -1)
    return flat @ flat.T


def test_gram_matches_paper_per_position() -> None:
    for i in range(2):
        np.testing.assert_allclose(
            gram(tensor(X))[i], reference_gram(X[i]) / 42, rtol=1e-5, atol=1e-7
        )


def test_gram_beside_a_cpu_is_one_batched_product() -> None:
    assert gram(torch.empty(2, 5, 6, 7, device="meta")).shape == (2, 5, 5)


def test_gram_gradient_keeps_channels_last_order() -> None:
    x = tensor(X).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = RNG.normal(size=(2, 5, 5))
    (gram(x) * tensor(weight)).sum().backward()
    assert x.grad is not None and x.grad.is_contiguous(memory_format=torch.channels_last)
    for i in range(2):  # d sum(W * F F^T) / dF = (W + W^T) F
        expected = (weight[i] + weight[i].T) @ X[i].reshape(5, 42) / 42
        np.testing.assert_allclose(x.grad[i].reshape(5, 42), expected, rtol=1e-4, atol=1e-6)


def test_content_loss_and_gradient_match_paper() -> None:
    x = tensor(X).requires_grad_()
    loss = content_paper(energy(x - tensor(P)), energy(tensor(P)), 210)
    loss.sum().backward()
    for i in range(2):
        assert float(loss[i].detach()) == pytest.approx(0.5 * ((X[i] - P[i]) ** 2).sum(), rel=1e-5)
    np.testing.assert_allclose(x.grad, X - P, rtol=1e-5, atol=1e-5)  # equation 2


def test_style_loss_and_gradient_match_paper() -> None:
    same = RNG.normal(size=X.shape)
    x = tensor(X).requires_grad_()
    loss = style_loss("paper", x, tensor(same))
    loss.sum().backward()
    n, m = 5, 42
    for i in range(2):
        difference = reference_gram(X[i]) - reference_gram(same[i])
        expected = (difference**2).sum() / (4 * n**2 * m**2)  # equation 4
        assert float(loss[i].detach()) == pytest.approx(expected, rel=1e-5)
        gradient = (difference @ X[i].reshape(n, m)) / (n**2 * m**2)  # equation 6
        np.testing.assert_allclose(x.grad[i].reshape(n, m), gradient, rtol=1e-4, atol=1e-7)


def test_style_loss_of_other_size_compares_grams_per_position() -> None:
    difference = reference_gram(X[0]) / 42 - reference_gram(S[0]) / 36
    expected = (difference**2).sum() / (4 * 25)
    loss = style_loss("paper", tensor(X), tensor(S))
    assert float(loss[0]) == pytest.approx(expected, rel=1e-5)


def test_relative_losses_match_their_formulas() -> None:
    a, g = reference_gram(S[1]) / 36, reference_gram(X[1]) / 42
    expected = np.linalg.norm(g - a) / np.linalg.norm(a)
    found = style_loss("relative", tensor(X), tensor(S))
    assert float(found[1]) == pytest.approx(expected, rel=1e-5)
    content = ((X[1] - P[1]) ** 2).sum() / (P[1] ** 2).sum()
    found = content_relative(energy(tensor(X) - tensor(P)), energy(tensor(P)), 210)
    assert float(found[1]) == pytest.approx(content, rel=1e-5)


@pytest.mark.parametrize("name", STATISTICS)
def test_relative_style_gradient_is_finite_at_the_target(name: str) -> None:
    x = tensor(X).requires_grad_()
    style_loss("relative", x, tensor(X), name).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_total_variation_is_mean_squared_difference() -> None:
    down = ((X[0, :, 1:] - X[0, :, :-1]) ** 2).mean()
    across = ((X[0, :, :, 1:] - X[0, :, :, :-1]) ** 2).mean()
    found = TV_LOSSES["mean_squares"](tensor(X))
    assert float(found[0]) == pytest.approx(down + across, rel=1e-5)


def test_total_variation_as_sums() -> None:
    down, across = X[1, :, 1:] - X[1, :, :-1], X[1, :, :, 1:] - X[1, :, :, :-1]
    squares = (down**2).sum() + (across**2).sum()
    assert float(TV_LOSSES["sum_squares"](tensor(X))[1]) == pytest.approx(squares, rel=1e-5)
    absolute = abs(down).sum() + abs(across).sum()
    assert float(TV_LOSSES["sum_absolute"](tensor(X))[1]) == pytest.approx(absolute, rel=1e-5)


def reference_nine_point(image: np.ndarray) -> float:
    """style-transfer-pytorch's total variation, pixel by pixel: eight neighbors, edges repeated."""
    channels, height, width = image.shape
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")

    def mean(shift: tuple[int, int], rows: range, columns: range) -> float:
        total = 0.0
        for y in rows:
            for x in columns:
                total += ((padded[:, y + shift[0], x + shift[1]] - padded[:, y, x]) ** 2).sum()
        return float(total / (channels * len(rows) * len(columns)))

    inner = range(1, height + 1), range(1, width + 1)
    straight = mean((0, 1), *inner) + mean((1, 0), *inner)
    falling = mean((1, 1), range(height + 1), range(width + 1))
    rising = mean((1, -1), range(height + 1), range(1, width + 2))
    return 2 * (straight / 3 + (falling + rising) / 12)


def test_nine_point_total_variation_looks_at_all_eight_neighbors() -> None:
    found = TV_LOSSES["nine_point"](tensor(X))
    for i in range(2):
        assert float(found[i]) == pytest.approx(reference_nine_point(X[i]), rel=1e-5)


# --- the other style losses -----------------------------------------------------------------------


def flat(features: np.ndarray) -> np.ndarray:
    return features.reshape(len(features), -1)


def test_mean_std_matches_its_formula() -> None:
    x, s = flat(X[0]), flat(S[0])
    differences = (x.mean(1) - s.mean(1)) ** 2 + (x.std(1) - s.std(1)) ** 2
    found = style_loss("mean", tensor(X), tensor(S), "mean_std")
    assert float(found[0]) == pytest.approx(differences.sum() / 5, rel=1e-4)
    expected = np.sqrt(differences.sum() / (s.mean(1) ** 2 + s.std(1) ** 2).sum())
    found = style_loss("relative", tensor(X), tensor(S), "mean_std")
    assert float(found[0]) == pytest.approx(expected, rel=1e-4)


def reference_wasserstein(x: np.ndarray, s: np.ndarray) -> float:
    """Squared, by general matrix square roots, a 10,000th of the style's variance added."""

    def root(matrix: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eig(matrix)
        return np.real(vectors @ np.diag(np.sqrt(values.astype(complex))) @ np.linalg.inv(vectors))

    lift = 1e-4 * s.var(1).mean() * np.eye(len(s))
    a, b = (np.cov(v, bias=True) + lift for v in (x, s))
    means = ((x.mean(1) - s.mean(1)) ** 2).sum()
    return float(means + np.trace(a + b - 2 * root(a @ b)))


def test_wasserstein_matches_its_formula_and_finite_differences() -> None:
    x, s = flat(X[1]), flat(S[1])
    expected = reference_wasserstein(x, s)
    pixels = tensor(X).requires_grad_()
    found = style_loss("mean", pixels, tensor(S), "wasserstein")
    assert float(found[1].detach()) == pytest.approx(expected / 5, rel=1e-4)
    (gradient,) = torch.autograd.grad(found.sum(), pixels)
    moved = x.copy()
    moved[2, 7] += 1e-5
    slope = (reference_wasserstein(moved, s) - expected) / 1e-5 / 5
    assert float(gradient[1].flatten(1)[2, 7]) == pytest.approx(slope, rel=1e-2)


@pytest.mark.parametrize("name", sorted(STATISTICS))
@pytest.mark.parametrize("size", [1e-2, 300.0])
def test_relative_losses_and_their_pull_do_not_depend_on_a_networks_scale(
    name: str, size: float
) -> None:
    """Also where there are fewer positions than channels, so that covariances have no full rank."""
    draw = np.random.default_rng(1)
    x, style = draw.normal(size=(1, 12, 2, 3)), draw.normal(size=(1, 12, 3, 3))
    found, pulls = [], []
    for scale in (1.0, size):
        features = tensor(x * scale).requires_grad_()
        value = style_loss("relative", features, tensor(style * scale), name)
        (pull,) = torch.autograd.grad(value.sum(), features)
        found.append(float(value.detach()))
        pulls.append(pull * scale)
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    assert float((pulls[1] - pulls[0]).norm() / pulls[0].norm()) < 1e-2


@pytest.mark.parametrize("name", sorted(STATISTICS))
@pytest.mark.parametrize("kind", ["paper", "mean"])
def test_losses_of_a_small_network_are_those_of_the_one_that_it_stands_in_for(
    kind: str, name: str
) -> None:
    """Features that lie in few of many channels have one loss, seen in those few or in all."""
    few, style = tensor(X), tensor(S)
    many, wide = (torch.cat((f, torch.zeros_like(f)), 1) for f in (few, style))

    def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return of_means(kind, means(name, a), means(name, b), 10, name)

    exact = name in ("gram", "mean_std")  # the others add to covariances, or draw directions
    torch.testing.assert_close(
        loss(few, style), loss(many, wide), rtol=1e-4 if exact else 0.3, atol=0
    )


def test_wasserstein_between_shifted_copies_is_the_shift() -> None:
    shifted = tensor(X) + torch.tensor([0.3, 0, 0, -0.4, 0]).view(1, 5, 1, 1)
    found = style_loss("mean", tensor(X), shifted, "wasserstein") * 5
    torch.testing.assert_close(found, torch.full((2,), 0.25), rtol=1e-3, atol=1e-4)


def test_sliced_wasserstein_compares_sorted_projections() -> None:
    other = RNG.normal(size=(2, 5, 6, 7)) * 1.5
    turned = directions(5, torch.device("cpu")).double().numpy()
    np.testing.assert_allclose(turned @ turned.T, np.eye(5), atol=1e-5)
    x, s = (np.sort(turned @ flat(v[0]), 1) for v in (X, other))

    def quantiles(values: np.ndarray) -> np.ndarray:
        """256 points between the 42 sorted values, as the middle of each share."""
        at = np.clip((np.arange(256) + 0.5) * 42 / 256 - 0.5, 0, 41)
        return np.stack([np.interp(at, np.arange(42), row) for row in values])

    expected = ((quantiles(x) - quantiles(s)) ** 2).mean()
    found = style_loss("mean", tensor(X), tensor(other), "sliced_wasserstein")
    assert float(found[0]) == pytest.approx(expected, rel=1e-4)


def test_quantiles_of_many_positions_are_means_of_equal_shares() -> None:
    values = RNG.normal(size=(1, 1, 16, 32))
    sums, count = style_sums("sliced_wasserstein", tensor(values))
    found = (sums / count[..., None, None])[0, 0, 0]
    shares = np.sort(values.ravel()).reshape(256, 2).mean(1)
    # One channel has one direction, which may point either way.
    expected = shares if float(found[-1]) > 0 and found[0] < found[-1] else -shares[::-1]
    np.testing.assert_allclose(found, np.sort(expected), rtol=1e-4, atol=1e-5)


def test_sliced_wasserstein_does_not_see_where_features_are() -> None:
    order = torch.randperm(42, generator=torch.Generator().manual_seed(0))
    shuffled = tensor(X).flatten(2)[:, :, order].view(2, 5, 6, 7)
    found = style_loss("mean", tensor(X), shuffled, "sliced_wasserstein")
    assert float(found.max()) < 1e-10


# --- regions --------------------------------------------------------------------------------------


def test_guided_statistics_are_those_of_a_region() -> None:
    guides = torch.zeros(2, 2, 6, 7)
    guides[:, 0, :, :3] = 1
    guides[:, 1, :, 3:] = 0.5  # a weight of 0.25 everywhere is no weight at all
    for name in ("gram", "mean_std", "wasserstein"):
        sums, counts = style_sums(name, tensor(X), guides)
        for region, part in ((0, tensor(X)[..., :3]), (1, tensor(X)[..., 3:])):
            alone, count = style_sums(name, part.contiguous())
            torch.testing.assert_close(
                sums[:, region] / counts[:, region, None, None],
                (alone / count[..., None, None])[:, 0],
            )


@pytest.mark.parametrize("name", [name for name in STATISTICS if STATISTICS[name].additive])
@pytest.mark.parametrize("kind", ["paper", "relative", "mean"])
def test_regions_without_a_style_leave_the_others_finite(name: str, kind: str) -> None:
    weights = job_weights([Settings(style_layers=["conv1_1"])] * 2, torch.device("cpu"))
    guides = torch.zeros(2, 3, 6, 7)
    guides[:, 0, :2], guides[:, 1, 2:] = 1, 1  # and a region that is nowhere
    sums, counts = style_sums(name, tensor(S))
    target = sums / counts[..., None, None]
    targets = torch.cat((target, torch.zeros_like(target), target), 1)
    regions = Regions(guides, torch.tensor([[0.5, 0.0, 0.5]] * 2))
    loss = StyleTransferLoss(Kinds(kind, name), {}, {"conv1_1": targets}, weights, regions)
    x = tensor(X).requires_grad_()
    losses = loss(torch.zeros(2, 3, 6, 7), {"conv1_1": x})
    (gradient,) = torch.autograd.grad(losses.total.sum(), x)
    assert bool(torch.isfinite(losses.total).all()) and bool(torch.isfinite(gradient).all())
    assert not bool(gradient[:, :, 2:].any()) and bool(gradient[:, :, :2].any())


def test_a_picture_that_diverged_is_nan_and_its_neighbor_is_not() -> None:
    x = tensor(X)
    x[0, 0, 0, 0] = float("nan")
    found = style_loss("relative", x, tensor(S), "wasserstein")
    assert bool(torch.isnan(found[0])) and bool(torch.isfinite(found[1]))


def test_regions_without_a_style_have_no_say() -> None:
    settings = Settings(loss="paper", style_layers=["conv1_1"], tv_weight=0, content_weight=0)
    weights = job_weights([settings, settings], torch.device("cpu"))
    guides = torch.zeros(2, 2, 6, 7)
    guides[:, 0, :2], guides[:, 1, 2:] = 1, 1
    targets = torch.stack((gram(tensor(S)), torch.zeros(2, 5, 5)), 1)
    regions = Regions(guides, torch.tensor([[1.0, 0.0]] * 2))
    loss = StyleTransferLoss(Kinds("paper"), {}, {"conv1_1": targets}, weights, regions)
    x = tensor(X).requires_grad_()
    losses = loss(torch.zeros(2, 3, 6, 7), {"conv1_1": x})
    part = flat(X[0][:, :2].copy())
    difference = part @ part.T / 14 - reference_gram(S[0]) / 36
    assert float(losses.style[0].detach()) == pytest.approx((difference**2).sum() / 100, rel=1e-4)
    (gradient,) = torch.autograd.grad(losses.total.sum(), x)
    assert not bool(gradient[:, :, 2:].any()) and bool(gradient[:, :, :2].all())


# --- gradients divided by their norm --------------------------------------------------------------


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_gradients_are_divided_by_a_power_of_their_norm(power: float) -> None:
    settings = Settings(
        loss="mean", style_layers={"conv1_1": 3.0}, content_layers={"conv2_1": 2.0},
        style_weight=7.0, content_weight=5.0, tv_weight=0, gradient_norm=power,
    )  # fmt: skip
    weights = job_weights([settings] * 2, torch.device("cpu"))
    styles = {"conv1_1": gram(tensor(S))}
    loss = StyleTransferLoss(Kinds("mean"), {"conv2_1": tensor(P)}, styles, weights)
    x, y = tensor(X).requires_grad_(), tensor(X).requires_grad_()
    losses = loss(torch.zeros(2, 3, 6, 7), {"conv1_1": x, "conv2_1": y})
    style, content = torch.autograd.grad(losses.total.sum(), (x, y))
    for i in range(2):
        plain = 2 * (X[i] - P[i]) / X[i].size
        expected = 10.0 * plain / abs(plain).sum() ** power
        np.testing.assert_allclose(content[i], expected, rtol=1e-3, atol=1e-7)
        values = flat(X[i])
        difference = values @ values.T / 42 - reference_gram(S[i]) / 36
        plain = 4 * difference @ values / 42 / 5**4
        expected = 21.0 * plain / abs(plain).sum() ** power
        np.testing.assert_allclose(style[i].flatten(1), expected, rtol=1e-3, atol=1e-6)


# --- presets, written out in float64 --------------------------------------------------------------


def reference_preset(name: str, x: dict, p: dict, s: dict, image: np.ndarray) -> float:  # type: ignore[type-arg]
    """The whole loss of a preset as its source has it, for features N x M of each layer."""
    layers = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    content = x["conv4_2"] - p["conv4_2"]
    down, across = image[:, 1:] - image[:, :-1], image[:, :, 1:] - image[:, :, :-1]

    def grams(layer: str, by: str) -> np.ndarray:
        def one(f: np.ndarray) -> np.ndarray:
            return f @ f.T / (f.size if by == "elements" else f.shape[1])

        return one(x[layer]) - one(s[layer])

    if name == "gatys2016":
        each = [1e3 / len(x[k]) ** 2 * (grams(k, "positions") ** 2).mean() for k in layers]
        return float((content**2).mean() + sum(each))
    if name == "gatys2016@1":
        each = [(grams(k, "positions") ** 2).sum() / (4 * len(x[k]) ** 2) for k in layers]
        return float(1e-3 * 0.5 * (content**2).sum() + sum(each) / 5)
    if name in ("neural-style", "tutorial"):
        style = sum((grams(k, "elements") ** 2).mean() for k in layers)
        if name == "tutorial":
            return float((content**2).mean() + 1e6 * style)
        tv = 1e-3 * 0.5 * (((255 * down) ** 2).sum() + ((255 * across) ** 2).sum())
        return float(5 * (content**2).mean() + 100 * style + tv)
    style = sum(
        weight / 341 * reference_wasserstein(x[k], s[k]) / len(x[k])
        for k, weight in zip(layers, (256, 64, 16, 4, 1), strict=True)
    )
    tv = 2 * reference_nine_point(image)
    return float(0.015 * (content**2).mean() + style + tv)


@pytest.mark.parametrize(
    "name", ["gatys2016", "gatys2016@1", "neural-style", "style-transfer-pytorch", "tutorial"]
)
def test_presets_have_the_loss_of_their_source(name: str) -> None:
    assert preset_values(name) is not None
    settings = Settings(preset=name)
    generator = torch.Generator().manual_seed(3)
    image, content, style = torch.rand(3, 3, 48, 64, generator=generator)
    network = Backbone(
        load_weights("lite"), settings.layers, settings.pooling, settings.padding,
        pooling_scale=settings.pooling_scale,
    )  # fmt: skip
    targets = style_targets(network, style, tuple(settings.style_layers), settings.style_loss)
    loss = StyleTransferLoss(
        Kinds(settings.loss, settings.style_loss, settings.tv_loss),
        {"conv4_2": network(content[None])["conv4_2"]},
        {k: v[None] for k, v in targets.items()},
        job_weights([settings], torch.device("cpu")),
    )
    x, p, s = (
        {k: v[0].flatten(1).double().numpy() for k, v in network(v[None]).items()}
        for v in (image, content, style)
    )
    expected = reference_preset(name, x, p, s, image.double().numpy())
    found = float(loss(image[None], network(image[None])).total)
    assert found == pytest.approx(expected, rel=2e-3 if name == "style-transfer-pytorch" else 1e-4)
