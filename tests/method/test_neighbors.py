"""The nearest-neighbor term against its formula written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.layers import NEIGHBOR_LAYERS
from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Kinds,
    Regions,
    ScaleInputs,
    Step,
    StyleTransferLoss,
    StyleVectors,
    blend_vectors,
    features_of,
    job_weights,
    load_weights,
    neighbor_targets,
    optimize,
    schedule_scales,
    style_targets,
    vector_places,
)
from pipeline.method.losses.joined import joined_features
from pipeline.method.losses.neighbors import Neighbors, drawn, nearest, queries
from pipeline.method.tiles import JOINED, losses_and_gradient

SETTINGS = Settings(size=64, scale_start=0, neighbor_weight=2.0, neighbor_content=0.3)

# Of one job.
SHARE, NONE = torch.tensor([0.3]), torch.zeros(1)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def lite() -> Backbone:
    return Backbone(load_weights("lite"), SETTINGS.layers)


def hand_joined(features: dict[str, Tensor]) -> np.ndarray:
    """D x h x w at a quarter of the picture's side, loops and all; sides are multiples of 8."""
    whole = []
    for layer, shrink in zip(NEIGHBOR_LAYERS, (1, 2, 4, 8), strict=True):
        values = features[layer][0].detach().double().numpy()
        c, h, w = values.shape
        out = np.zeros((c, h * shrink // 4, w * shrink // 4))
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                if shrink < 4:
                    n = 4 // shrink
                    block = values[:, y * n : y * n + n, x * n : x * n + n]
                    out[:, y, x] = block.mean((1, 2))
                else:
                    out[:, y, x] = values[:, y * 4 // shrink, x * 4 // shrink]
        whole.append(out)
    return np.concatenate(whole)


def hand_moments(features: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    means, scales = [], []
    for layer in NEIGHBOR_LAYERS:
        values = features[layer][0].double().flatten(1).numpy()
        mean = values.mean(1)
        root = np.sqrt(((values - mean[:, None]) ** 2).sum(0).mean())
        means.append(mean)
        scales.append(np.full_like(mean, root))
    return np.concatenate(means)[:, None], np.concatenate(scales)[:, None]


@pytest.mark.parametrize("power", [0.0, 2.0, 5.0])
def test_value_and_choice_are_those_of_the_formula(lite: Backbone, power: float) -> None:
    picture, content, style = (noise(seed, 1, 3, 48, 40) for seed in range(3))
    found, kept, wanted = lite(picture), lite(content), lite(style)
    mean, scale = hand_moments(wanted)
    # One position at each edge of the style's 12 x 10 is left out.
    grids = hand_joined(found), hand_joined(kept), hand_joined(wanted)[:, 1:-1, 1:-1]
    f, p, t = ((grid.reshape(len(mean), -1) - mean) / scale for grid in grids)
    apart = np.linalg.norm(p - p.mean(1, keepdims=True), axis=0)
    salience = np.minimum(1, (apart / np.sqrt((apart**2).mean())) ** power)
    share = 0.3 + 0.7 * (1 - salience)
    query = (1 - share) * f + share * p
    query -= query.mean(1, keepdims=True) * salience
    centered = t - t.mean(1, keepdims=True)
    cosines = (query / np.linalg.norm(query, axis=0)).T @ (
        centered / np.linalg.norm(centered, axis=0)
    )
    chosen = cosines.argmax(1)
    drawn_to = t[:, chosen]
    cosine = (f * drawn_to).sum(0) / np.linalg.norm(f, axis=0) / np.linalg.norm(drawn_to, axis=0)

    vectors = neighbor_targets(lite, style[0])
    term = Neighbors.of([vectors], joined_features(kept), SHARE, torch.tensor([power]))
    term = term.renewed(joined_features(found))
    assert term.chosen is not None and term.chosen[0].tolist() == chosen.tolist()
    value = float(term.sums(joined_features(found))[0]) / term.count
    assert value == pytest.approx((1 - cosine).mean(), rel=1e-4)


def test_the_content_alone_chooses_where_nothing_else_is_asked(lite: Backbone) -> None:
    content, style = noise(1, 1, 3, 48, 40), noise(2, 1, 3, 48, 40)
    joined = joined_features(lite(content))
    term = Neighbors.of([neighbor_targets(lite, style[0])], joined, SHARE, NONE)
    alone = replace(term, shares=torch.tensor([1.0]))
    other = alone.renewed(joined_features(lite(noise(3, 1, 3, 48, 40))))
    assert torch.equal(term.renewed(None).chosen, other.chosen)  # type: ignore[arg-type]


def test_flat_places_ask_for_flat_ones_where_the_picture_has_worms() -> None:
    """Features: how bright and how rough a place is."""
    flat, rough = torch.tensor([[0.5], [-1.0]]), torch.tensor([[-0.5], [1.0]])
    vectors = torch.cat((flat.expand(2, 20), rough.expand(2, 20)), 1)
    # 30 places of the content are flat; at 15 of them the picture is rough by now.
    contents = torch.cat((0.8 * flat.expand(2, 30), rough.expand(2, 10)), 1)
    found = torch.cat((rough.expand(2, 15), flat.expand(2, 15), rough.expand(2, 10)), 1)

    def is_rough(power: float) -> list[bool]:
        asked = queries(contents, found, torch.tensor(0.3), torch.tensor(power))
        return (nearest(asked, vectors) >= 20).tolist()

    assert is_rough(0.0) == [True] * 15 + [False] * 15 + [True] * 10
    assert is_rough(2.0) == [False] * 30 + [True] * 10


def test_many_positions_are_sought_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, vectors = noise(0, 12, 50), noise(1, 12, 40)
    whole = nearest(asked, vectors)
    monkeypatch.setattr("pipeline.method.losses.neighbors._BLOCK", 120)
    assert torch.equal(nearest(asked, vectors), whole)


def whole_loss(
    backbone: Backbone, contents: Tensor, styles: list[StyleVectors], guides: Tensor | None = None
) -> StyleTransferLoss:
    jobs = [SETTINGS.model_copy(update={"neighbor_weight": w}) for w in (2.0, 5.0)]
    kept = features_of(backbone, contents, backbone.layers)
    shares, powers = torch.tensor([0.3, 0.8]), torch.tensor([2.0, 0.0])
    term = Neighbors.of(styles, joined_features(kept), shares, powers, guides)
    picture = noise(7, 3, *contents.shape[2:])
    grams = style_targets(backbone, picture, tuple(SETTINGS.style_layers))
    targets = {k: torch.stack([v, v]) for k, v in grams.items()}
    regions = None
    if guides is not None:
        regions = Regions(guides, torch.full(guides.shape[:2], 1 / guides.shape[1]))
        targets = {k: torch.stack([v] * guides.shape[1], 1) for k, v in targets.items()}
    return StyleTransferLoss(
        Kinds("relative"),
        {"conv4_2": kept["conv4_2"]},
        targets,
        job_weights(jobs, torch.device("cpu")),
        regions,
        neighbors=term.renewed(joined_features(kept)),
    )


LONG = pytest.mark.long


@pytest.mark.parametrize(
    "height, width",
    [(211, 294), pytest.param(208, 296, marks=LONG), pytest.param(205, 301, marks=LONG)],
)
@pytest.mark.parametrize("masked", [pytest.param(False, marks=LONG), True])
def test_tiles_add_up_to_the_whole(lite: Backbone, height: int, width: int, masked: bool) -> None:
    images, contents = noise(0, 2, 3, height, width), noise(1, 2, 3, height, width)
    vectors = [neighbor_targets(lite, noise(seed, 3, 90, 120)) for seed in (2, 3)]
    guides = None
    if masked:
        left = torch.zeros(2, 1, height, width)
        left[..., : width // 3] = 1
        guides = torch.cat((left, 1 - left), 1)
        vectors = [
            replace(
                v, allowed=torch.stack([torch.arange(v.vectors.shape[1]) % 2 == r for r in (0, 1)])
            )
            for v in vectors
        ]
    loss = whole_loss(lite, contents, vectors, guides)
    whole, gradient = losses_and_gradient(lite, loss, images)
    tiled, in_tiles = losses_and_gradient(lite, loss, images, 64)
    torch.testing.assert_close(tiled.neighbors, whole.neighbors, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(tiled.total, whole.total, rtol=1e-5, atol=1e-6)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(in_tiles / scale, gradient / scale, rtol=0, atol=1e-4)


def test_regions_take_vectors_of_their_own_only(lite: Backbone) -> None:
    content, style = noise(1, 1, 3, 48, 40), neighbor_targets(lite, noise(2, 3, 48, 40))
    left = torch.zeros(1, 1, 48, 40)
    left[..., :20] = 1
    guides = torch.cat((left, 1 - left, torch.zeros(1, 1, 48, 40)), 1)
    even = torch.arange(style.vectors.shape[1]) % 2 == 0
    nothing = torch.zeros_like(even)
    some = replace(style, allowed=torch.stack((even, nothing, ~even)))
    joined = joined_features(lite(content))
    term = Neighbors.of([some], joined, torch.ones(1), NONE, guides).renewed(None)
    assert term.chosen is not None
    chosen = term.chosen.view(12, 10)
    assert bool((chosen[:, :5] % 2 == 0).all()) and bool((chosen[:, 5:] == -1).all())
    # What is drawn to nothing costs nothing.
    features = joined_features(lite(noise(3, 1, 3, 48, 40)))
    right = (slice(None), slice(5, None))
    assert float(term.sums(features[..., 5:], right)[0]) == 0.0
    left_alone = term.sums(features[..., :5], (slice(None), slice(0, 5)))
    torch.testing.assert_close(term.sums(features), left_alone)


def test_a_blend_draws_from_each_picture_by_its_weight() -> None:
    def part(seed: int, count: int) -> StyleVectors:
        return StyleVectors(noise(seed, 6, count), noise(seed + 1, 6), noise(seed + 2, 6) + 0.5)

    first, second = part(0, 300), part(5, 100)
    blend = blend_vectors([(first, 0.25), (second, 0.75)])
    # 100 of the second are three quarters of what there can be.
    assert blend.vectors.shape == (6, 133)
    raw = blend.vectors * blend.scale[:, None] + blend.mean[:, None]
    own = second.vectors * second.scale[:, None] + second.mean[:, None]
    torch.testing.assert_close(raw[:, 33:], own)
    mean = 0.25 * first.mean + 0.75 * second.mean
    torch.testing.assert_close(blend.mean, mean)
    assert blend_vectors([(first, 1.0), (second, 0.0)]) is first


def test_more_vectors_than_are_kept_are_drawn_the_same_every_time() -> None:
    places = drawn(1000, 100)
    assert len(set(places.tolist())) == 100 and torch.equal(places, drawn(1000, 100))
    assert torch.equal(drawn(7, 100), torch.arange(7))


class World:
    """Jobs through the shipped network, each with a style of its own."""

    def __init__(self, backbone: Backbone, jobs: list[Settings]) -> None:
        self.backbone, self.jobs = backbone, jobs
        self.scales = schedule_scales(jobs[0], 64, 48)
        self.styles = [noise(20 + i, 3, 48, 64) for i in range(2)]

    def inputs(self, index: int) -> ScaleInputs:
        scale, count = self.scales[index], len(self.jobs)
        size = (scale.height, scale.width)
        contents = torch.nn.functional.interpolate(noise(9, 1, 3, 8, 8), size, mode="bilinear")
        resized = [torch.nn.functional.interpolate(s[None], size)[0] for s in self.styles[:count]]
        grams = [style_targets(self.backbone, s, tuple(SETTINGS.style_layers)) for s in resized]
        stacked = {k: torch.stack([g[k] for g in grams]) for k in grams[0]}
        vectors = [neighbor_targets(self.backbone, s) for s in resized]
        return ScaleInputs(contents, torch.zeros(count, dtype=torch.long), stacked,
                           neighbors=vectors)  # fmt: skip

    def steps(self, resume=None) -> list[Step]:  # type: ignore[no-untyped-def]
        return list(optimize(self.backbone, self.jobs, self.scales, self.inputs, resume=resume))


def job(**changed: object) -> Settings:
    base = {
        "preset": "classic",
        "size": 64,
        "scale_start": 40,
        "steps": 12,
        "neighbor_weight": 2.0,
        "neighbor_every": 3,
    }
    return Settings.model_validate({**base, **changed})


def test_a_batch_gives_each_job_what_it_has_alone(lite: Backbone) -> None:
    both = World(lite, [job(), job(neighbor_weight=5.0, neighbor_content=0.1)]).steps()
    alone = World(lite, [job()]).steps()
    for first, second in zip(both, alone, strict=True):
        torch.testing.assert_close(
            first.losses.parts[:, :1], second.losses.parts, rtol=1e-2, atol=1e-4
        )
    assert float(both[-1].losses.neighbors[0]) > 0


@pytest.mark.parametrize("at", [2, 4, 7, 9, 11])
def test_from_a_checkpoint_it_is_drawn_to_the_same_vectors(lite: Backbone, at: int) -> None:
    straight = World(lite, [job()]).steps()
    world = World(lite, [job()])
    for step in optimize(lite, world.jobs, world.scales, world.inputs):
        if step.number == at:
            state = step.state
            state = replace(state, tensors={k: v.clone() for k, v in state.tensors.items()})
            break
    resumed = World(lite, [job()]).steps(state)
    assert len(resumed) == 12 - at
    torch.testing.assert_close(resumed[-1].images, straight[-1].images, rtol=0, atol=1e-5)


def test_a_settled_job_leaves_the_others_their_vectors(lite: Backbone) -> None:
    base = {"steps": 40, "scale_start": 0, "average": 0.5}
    jobs = [job(**base, tolerance=0.5), job(**base)]
    steps = World(lite, jobs).steps()
    left, stayed = steps[-1].steps.tolist()
    assert left < stayed == 40
    alone = World(lite, jobs[1:])
    alone.styles = alone.styles[1:]
    # Its steps are those that it takes alone, but for rounding, which grows along them.
    for both, one in zip(steps, alone.steps(), strict=True):
        torch.testing.assert_close(both.losses.parts[:, 1:], one.losses.parts, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("height, width", [(211, 294), (208, 296), (205, 301)])
def test_joined_features_come_together_from_tiles(lite: Backbone, height: int, width: int) -> None:
    images = noise(0, 2, 3, height, width)
    (whole,) = features_of(lite, images, (JOINED,)).values()
    (tiled,) = features_of(lite, images, (JOINED,), 64).values()
    assert torch.equal(whole, joined_features(lite(images)))
    torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-5)


def test_vectors_are_not_taken_from_the_edges_nor_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = vector_places(40, 50)
    rows, columns = places // 50, places % 50
    assert (int(rows.min()), int(rows.max())) == (4, 35)
    assert (int(columns.min()), int(columns.max())) == (4, 45)
    assert len(places) == 32 * 42
    assert vector_places(6, 6).tolist() == list(range(36))
    monkeypatch.setattr("pipeline.method.losses.neighbors._MOST_VECTORS", 100)
    some = vector_places(40, 50)
    assert len(some) == 100 and set(some.tolist()) < set(places.tolist())


def test_the_term_brings_the_picture_to_the_styles_vectors(lite: Backbone) -> None:
    without = World(lite, [job(scale_start=0, steps=30, neighbor_weight=1e-6)]).steps()
    drawn_there = World(lite, [job(scale_start=0, steps=30, neighbor_weight=5.0)]).steps()
    assert float(drawn_there[-1].losses.neighbors[0]) < 0.9 * float(without[-1].losses.neighbors[0])
