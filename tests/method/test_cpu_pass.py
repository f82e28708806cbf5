"""A network's pass on a CPU gives what its formula gives in float64, or torch's own functions."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.method import Backbone, Weights, load_weights, onednn
from pipeline.method.convolutions import pointwise
from pipeline.method.means import means, repeated

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_2")
MODES = {"replicate": "replicate", "replicate_first": "replicate", "reflect": "reflect"}

pytestmark = pytest.mark.skipif(
    not onednn.fits(torch.zeros(1)), reason="this CPU's torch lacks oneDNN's operators"
)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights("lite")


def formula(weights: Weights, x: Tensor, pooling: str, padding: str, scale: float) -> list[Tensor]:
    """The features of `LAYERS`, layer by layer, in float64."""
    found = []
    mixed = torch.einsum("oc,bchw->bohw", weights.input[0][:, :, 0, 0].double(), x)
    x = mixed + weights.input[1].double().view(-1, 1, 1)
    for name, (kernel, bias) in weights.convs.items():
        if name.endswith("_1") and name != "conv1_1":
            x = {
                "avg": lambda x: F.avg_pool2d(x, 2),
                "max": lambda x: F.max_pool2d(x, 2),
                "l2": lambda x: (F.avg_pool2d(x.square(), 2) + 1e-8).sqrt(),
            }[pooling](x) * scale
        zeros = padding == "zeros" or (padding == "replicate_first" and name != "conv1_1")
        x = F.pad(x, (1, 1, 1, 1), mode="constant" if zeros else MODES[padding])
        x = F.conv2d(x, kernel.double(), bias.double()).relu()
        if name in LAYERS:
            head = weights.heads.get(name)
            found.append(F.conv2d(x, *(part.double() for part in head)) if head else x)
        if name == LAYERS[-1]:
            break
    return found


def slopes(features: Sequence[Tensor], images: Tensor, used: Sequence[int]) -> Tensor:
    """The gradient of something in some of the features."""
    loss = sum((features[i] / features[i].detach().norm()).square().sum() * (i + 1) for i in used)
    assert isinstance(loss, Tensor)
    return torch.autograd.grad(loss, images)[0]


def off(found: Tensor, wanted: Tensor) -> float:
    return float(((found.double() - wanted).norm() / wanted.norm()).detach())


@pytest.mark.parametrize("pooling", ["avg", "max", "l2"])
@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect", "replicate_first"])
@pytest.mark.parametrize("size", [(48, 64), (37, 45)])
def test_features_and_gradient_are_the_formulas(
    weights: Weights, pooling: Any, padding: Any, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    network = Backbone(weights, LAYERS, pooling, padding, pooling_scale=1.25)
    images = torch.rand(2, 3, *size)
    exact, pixels = images.double().requires_grad_(), images.clone().requires_grad_()
    for used in ((0, 1, 2, 3), (1, 2), (3,)):  # kernels are laid out at the second pass
        wanted = formula(weights, exact, pooling, padding, 1.25)
        found = list(network(pixels).values())
        assert max(map(off, found, wanted)) < 1e-5
        assert off(slopes(found, pixels, used), slopes(wanted, exact, used)) < 1e-4


def test_in_bfloat16_they_are_torchs_own(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = Backbone(weights, LAYERS, padding="replicate", dtype=torch.bfloat16)
    found = []
    for here in (True, False):
        if not here:
            monkeypatch.setattr(onednn, "_operators", lambda dtype: False)
        pixels = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(1))
        pixels.requires_grad_()
        features = list(network(pixels, narrow=True).values())
        assert {values.dtype for values in features} == {torch.bfloat16}
        found.append([*features, slopes([f.float() for f in features], pixels, (0, 1, 2, 3))])
    assert max(off(a, b.double()) for a, b in zip(*found, strict=True)) < 0.02


class Convolved(TorchDispatchMode):
    """Keeps whether what each convolution sees is channels-last."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket is torch.ops.mkldnn._convolution_pointwise:
            self.seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect", "replicate_first"])
def test_all_that_a_convolution_sees_is_channels_last(weights: Weights, padding: Any) -> None:
    network = Backbone(weights, LAYERS, padding=padding)
    pixels = torch.rand(1, 3, 32, 48).requires_grad_()
    with Convolved() as convolved:
        features = network(pixels)
        # Gradients of all layouts.
        given = [torch.rand(f.shape).contiguous() for f in features.values()]
        torch.autograd.grad([*features.values()], pixels, given)
    assert len(convolved.seen) == 2 * (len(network.chain) + len(LAYERS)) and all(convolved.seen)


def test_gradients_that_are_given_stay_as_they_are(weights: Weights) -> None:
    network = Backbone(weights, LAYERS[:1], padding="zeros")
    network.heads = ()
    pixels = torch.rand(1, 3, 16, 16).requires_grad_()
    (values,) = network(pixels).values()
    given = torch.ones_like(values)
    torch.autograd.grad(values, pixels, given)
    assert bool((given == 1).all())


def test_without_gradients_nothing_is_kept(weights: Weights) -> None:
    network = Backbone(weights, LAYERS)
    with torch.no_grad():
        found = network(torch.rand(1, 3, 32, 32).requires_grad_())
    assert not any(values.requires_grad for values in found.values())


def test_a_network_that_is_changed_is_taken_as_it_is_now(weights: Weights) -> None:
    network, images = Backbone(weights, LAYERS), torch.rand(1, 3, 32, 32)
    assert float(network(images)["conv4_2"].abs().sum()) > 0
    network._apply(torch.zeros_like)
    assert float(network(images)["conv4_2"].abs().sum()) == 0


@pytest.mark.parametrize("missing", ["_operators", "compiling", "disabled"])
def test_where_the_operators_are_missing_torchs_own_are_taken(
    weights: Weights, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "_operators":
        monkeypatch.setattr(onednn, "_operators", lambda dtype: False)
    elif missing == "compiling":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    else:
        monkeypatch.setattr(torch._C, "_get_mkldnn_enabled", lambda: False)
    with Convolved() as convolved:
        found = Backbone(weights, LAYERS)(torch.rand(1, 3, 32, 32))
    assert not convolved.seen and list(found) == list(LAYERS)


def test_another_machine_or_type_of_number_has_no_operators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not onednn.fits(torch.zeros(1).half()) and not onednn.fits(torch.zeros(1).double())
    assert not onednn.fits(torch.zeros(1, device="meta"))
    onednn._operators.cache_clear()
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    try:
        assert not onednn.fits(torch.zeros(1))
    finally:
        onednn._operators.cache_clear()


def kernel_of(side: int) -> tuple[onednn.Kernel, Tensor, Tensor]:
    torch.manual_seed(0)
    weight = torch.randn(6, 5, side, side).contiguous(memory_format=torch.channels_last)
    bias = torch.randn(6)
    return onednn.Kernel(weight, bias, 0, relu=False), weight.double(), bias.double()


@pytest.mark.parametrize("side", [1, 3])
def test_a_kernel_is_laid_out_for_what_comes_twice_and_gives_the_same(side: int) -> None:
    kernel, weight, bias = kernel_of(side)
    for size, laid in ((8, False), (8, True), (8, True), (9, False), (8, False), (8, True)):
        x = torch.rand(2, 5, size, 7).contiguous(memory_format=torch.channels_last)
        exact = x.double().requires_grad_()
        wanted = F.conv2d(exact, weight, bias)
        found = kernel(x)
        assert off(found, wanted) < 1e-6
        back = torch.rand_like(found)
        (pull,) = torch.autograd.grad(wanted, exact, back.double())
        assert off(kernel.back(back), pull) < 1e-6
        assert (kernel._onward.laid, kernel._back.laid) == (laid, laid)


@pytest.fixture
def full() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("full")
def test_products_are_those_of_double_precision() -> None:
    torch.manual_seed(0)
    x, moments = torch.rand(2, 300, 64), torch.rand(2, 64, 65)
    weight, bias = moments[..., :-1], moments[..., -1:].mT  # neither lies on its own
    assert onednn.multiplies(x)
    wide = x.double()
    assert off(onednn.inner(x), wide.mT @ wide) < 1e-6
    assert off(onednn.linear(x, weight), wide @ weight.double().mT) < 1e-6
    assert off(onednn.linear(x, weight, bias), wide @ weight.double().mT + bias.double()) < 1e-6
    cut = x[..., 4:]  # of which rows do not lie one after the other
    assert off(onednn.inner(cut), cut.double().mT @ cut.double()) < 1e-6


@pytest.mark.usefixtures("full")
def test_products_that_are_small_or_less_exact_are_left_to_torch() -> None:
    x = torch.rand(1, 300, 64)
    assert not onednn.multiplies(x[:, :3]) and not onednn.multiplies(x.double())
    assert not onednn.multiplies(torch.rand(1, 64, 300).mT)
    torch.set_float32_matmul_precision("medium")
    assert not onednn.multiplies(x)


def test_a_pointwise_convolutions_gradient_is_the_convolutions() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 5, 6, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight, bias = torch.randn(4, 5, 1, 1), torch.randn(4)
    exact = x.detach().double().requires_grad_()
    found, wanted = pointwise(x, weight, bias), F.conv2d(exact, weight.double(), bias.double())
    assert off(found, wanted) < 1e-6
    assert found.is_contiguous(memory_format=torch.channels_last)
    back = torch.rand_like(found)
    (pull,) = torch.autograd.grad(found, x, back)
    (exact_pull,) = torch.autograd.grad(wanted, exact, back.double())
    assert off(pull, exact_pull) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(8, 12), (9, 7)])
def test_means_and_repeats_have_torchs_gradients(dtype: torch.dtype, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ways = [
        (lambda x: means(x, 4, torch.float32), lambda x: F.avg_pool2d(x.float(), 4)),
        (
            lambda x: repeated(x, 2, torch.float32),
            lambda x: F.interpolate(x.float(), scale_factor=2, mode="nearest"),
        ),
    ]
    for own, plain in ways:
        x = torch.rand(2, 5, *size).to(dtype).contiguous(memory_format=torch.channels_last)
        found, wanted = (x.clone().requires_grad_() for _ in range(2))
        values, expected = own(found), plain(wanted)
        assert values.dtype == torch.float32 and torch.equal(values, expected)
        # Of more channels, as of what is joined.
        back = torch.rand(2, 9, *values.shape[2:]).contiguous(memory_format=torch.channels_last)
        for y in (values, expected):
            y.backward(back[:, 2:7])
        assert found.grad is not None and found.grad.dtype == dtype
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-6, atol=0)
