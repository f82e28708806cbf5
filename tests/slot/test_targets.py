"""Style targets that go to disk: the same whatever the precision of the loop that wants them."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.layers import LAYERS
from pipeline.manifest import Settings
from pipeline.method import Backbone, load_weights
from pipeline.slot.targets import NEIGHBORS, compute_targets

IMAGE = torch.rand(3, 64, 72, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    """A process as `tf32` and `bf16` set it."""
    before = torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32 = before


def set_to(precision: str, tf32: bool) -> None:
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = tf32


def flags() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


class Asks(Backbone):
    """Keeps how torch was set when it was called; one that breaks raises then."""

    seen: list[tuple[str, bool]]
    breaks = False

    def forward(self, *given: Any, **more: Any) -> dict[str, Tensor]:
        self.seen.append(flags())
        if self.breaks:
            raise RuntimeError("injected")
        return super().forward(*given, **more)


@pytest.fixture
def network() -> Asks:
    found = Asks(load_weights("lite"), [layer for layer in LAYERS if layer <= "conv4_1"])
    found.seen = []
    return found


def computed(network: Backbone, compared: str) -> dict[str, Tensor]:
    settings = Settings(style_layers=["conv1_1", "conv3_1"])
    return compute_targets(network, [IMAGE, IMAGE], settings, None, lambda w, h: 0, compared)


@pytest.mark.parametrize("compared", ["gram", "wasserstein", "sliced_wasserstein", NEIGHBORS])
@pytest.mark.parametrize("own", [("medium", False), ("high", True), ("highest", False)])
def test_targets_are_of_full_float32(network: Asks, compared: str, own: tuple[str, bool]) -> None:
    set_to(*own)
    computed(network, compared)
    assert network.seen == [("highest", False)] * 2 and flags() == own


@pytest.mark.parametrize("compared", ["gram", NEIGHBORS])
def test_an_error_leaves_the_process_as_it_was(network: Asks, compared: str) -> None:
    set_to("medium", True)
    network.breaks = True
    with pytest.raises(RuntimeError, match="injected"):
        computed(network, compared)
    assert flags() == ("medium", True)


@pytest.mark.parametrize("compared", ["gram", "wasserstein", "sliced_wasserstein", NEIGHBORS])
def test_a_loop_in_bfloat16_has_the_same_targets(network: Asks, compared: str) -> None:
    """Of CPUs too, of which some multiply in bfloat16 then."""
    set_to("highest", False)
    wanted = computed(network, compared)
    set_to("medium", False)
    found = computed(network, compared)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
