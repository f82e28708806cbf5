"""What Apple's GPU lacks is done on the CPU, and comes back with its gradient."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from apples import MPS, Apple, on_apple
from torch import Tensor

from pipeline.method import Before, area_means, bicubic, precise
from pipeline.method.losses.guides import guides_at
from pipeline.method.losses.sliced_wasserstein import directions
from pipeline.method.losses.statistic import measured
from pipeline.method.losses.style import STATISTICS
from pipeline.method.scale_run import enlarge

VALUES = torch.rand(2, 3, 7, 10, generator=torch.Generator().manual_seed(0))


def test_the_pretended_gpu_lacks_what_the_real_one_does() -> None:
    values = on_apple(VALUES)
    assert values.device == MPS and isinstance(values * 2, Apple)
    assert type(values.cpu()) is Tensor and isinstance(torch.zeros(3).to(values), Apple)
    for lacking in (
        lambda: values.double(),
        lambda: torch.linalg.eigh(values[0, :, :3, :3]),
        lambda: F.interpolate(values, (5, 5), mode="bicubic", antialias=True),
        lambda: F.interpolate(values, (5, 5), mode="area"),
        lambda: values + VALUES,
    ):
        with pytest.raises((RuntimeError, TypeError, NotImplementedError)):
            lacking()


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (bicubic, lambda v, s: F.interpolate(v, s, mode="bicubic", antialias=True)),
        (area_means, lambda v, s: F.interpolate(v, s, mode="area")),
    ],
)
@pytest.mark.parametrize("size", [(5, 5), (14, 20), (3, 9)])
def test_pictures_are_resized_as_torch_does(
    ours: Callable[..., Tensor], torchs: Callable[..., Tensor], size: tuple[int, int]
) -> None:
    assert torch.equal(ours(VALUES, size), torchs(VALUES, size))
    leaf = VALUES.clone().requires_grad_()
    found = ours(leaf.as_subclass(Apple), size)
    assert isinstance(found, Apple) and torch.equal(found.cpu(), torchs(VALUES, size))
    found.cpu().square().sum().backward()
    wanted = VALUES.clone().requires_grad_()
    torchs(wanted, size).square().sum().backward()
    assert leaf.grad is not None and torch.equal(leaf.grad, wanted.grad)  # type: ignore[arg-type]


def test_float64_is_the_cpus() -> None:
    found = precise(on_apple(VALUES))
    assert type(found) is Tensor and torch.equal(found, VALUES.double())
    assert precise(VALUES).dtype == torch.float64


@pytest.mark.parametrize("name", sorted(STATISTICS))
@pytest.mark.parametrize("side", [6, 24])
def test_style_losses_and_their_gradients_are_the_cpus(
    name: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def there(channels: int, device: torch.device) -> Tensor:
        found = directions(channels, torch.device("cpu"))
        return on_apple(found) if device.type == "mps" else found  # type: ignore[no-any-return]

    monkeypatch.setattr("pipeline.method.losses.sliced_wasserstein.directions", there)
    statistic = STATISTICS[name]
    generator = torch.Generator().manual_seed(1)
    style = torch.rand(1, 5, 9, 13, generator=generator)
    own = torch.rand(1, 5, side, side, generator=generator)

    def loss(features: Tensor, target: Tensor) -> Tensor:
        def mean(values: Tensor) -> Tensor:
            flat = values.flatten(2)
            return statistic.sums(flat, None) / flat.shape[-1]

        wanted = mean(target)
        prepared = statistic.prepare(wanted)
        divisor = statistic.divisor("relative", wanted, prepared, 5)
        return measured("relative", statistic.distance(mean(features), prepared), divisor).sum()

    wanted, found = own.clone().requires_grad_(), own.clone().requires_grad_()
    on_cpu = loss(wanted, style)
    on_gpu = loss(found.as_subclass(Apple), on_apple(style))
    assert isinstance(on_gpu, Apple) and float(on_gpu.detach()) == pytest.approx(
        float(on_cpu.detach()), rel=1e-5
    )
    on_cpu.backward()
    on_gpu.cpu().backward()
    assert wanted.grad is not None and found.grad is not None
    assert torch.allclose(found.grad.cpu(), wanted.grad, rtol=1e-4, atol=1e-7)


def test_a_scales_end_is_carried_to_the_next_as_on_the_cpu() -> None:
    small, large = torch.rand(2, 2, 3, 12, 16), torch.rand(2, 3, 20, 28)
    wanted = enlarge(small[0], small[1], large, torch.tensor([1.0, 0.3]))
    given = on_apple((small[0], small[1], large, torch.tensor([1.0, 0.3])))
    assert torch.equal(enlarge(*given).cpu(), wanted)


def test_what_was_before_and_regions_come_to_any_size() -> None:
    before = Before(torch.rand(1, 3, 20, 28), torch.rand(1, 1, 20, 28))
    wanted, found = before.at(9, 13), Before(*on_apple((before.moved, before.weights))).at(9, 13)
    assert torch.equal(found.moved.cpu(), wanted.moved)
    assert torch.equal(found.weights.cpu(), wanted.weights)
    guides = torch.rand(1, 2, 20, 28)
    assert torch.equal(guides_at(on_apple(guides), (9, 13)).cpu(), guides_at(guides, (9, 13)))
