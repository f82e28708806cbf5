"""What a batch needs: sizes of styles, first pictures, targets of regions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.manifest import INITS, Settings, load_manifest
from pipeline.method import Backbone, load_weights, schedule_scales
from pipeline.method.first_images import Styles, first_images
from pipeline.plan import Plan
from pipeline.slot import style_sizes
from pipeline.slot.contents import read_content
from pipeline.slot.styles import StyleReader
from pipeline.slot.targets import compute_targets


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_style_is_fitted_as_the_content_times_its_scale(scale: float) -> None:
    settings = Settings(size=256, scale_start=128, scale_factor=2, style_scale=scale)
    scales = schedule_scales(settings, 800, 600)
    assert [(s.width, s.height) for s in scales] == [(128, 96), (256, 192)]
    wide = style_sizes((1000, 500), settings, scales)
    assert wide == ((128 * scale, 64 * scale), (256 * scale, 128 * scale))


def test_stretched_styles_have_the_canvas_shape() -> None:
    settings = Settings(size="200x100", fit="stretch", scale_start=0)
    scales = schedule_scales(settings, 300, 300)
    assert style_sizes((50, 80), settings, scales) == ((200, 100),)


def test_exact_sizes_fit_the_styles_long_side() -> None:
    settings = Settings(size="200x100", fit="exact", scale_start=0, style_scale=0.5)
    scales = schedule_scales(settings, 300, 300)
    assert style_sizes((1000, 500), settings, scales) == ((100, 50),)


def test_no_style_is_too_small_for_the_deepest_layer() -> None:
    settings = Settings(size=64, scale_start=0, style_scale=0.1)
    ((width, height),) = style_sizes((100, 50), settings, schedule_scales(settings, 64, 64))
    assert min(width, height) == 32 and width == 64


def test_steps_of_each_scale_can_be_named() -> None:
    settings = Settings(size=512, scale_start=128, scale_factor=2**0.5, steps=(1000, 500))
    scales = schedule_scales(settings, 512, 512)
    assert [s.width for s in scales] == [128, 181, 256, 362, 512]
    assert [s.steps for s in scales] == [1000, 500, 500, 500, 500]


CONTENT = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(1))


def first(**settings: object) -> torch.Tensor:
    style = torch.stack([torch.full((40, 40), v) for v in (0.2, 0.5, 0.8)])
    style[:, ::2] += 0.1
    job = Settings(**settings)  # type: ignore[arg-type]
    return first_images([job], CONTENT[None], {}, [Styles([style], [1.0])])[0]


def test_first_pictures_are_what_they_are_called() -> None:
    assert torch.equal(first(init="content"), CONTENT)
    assert torch.equal(first(init="gray"), torch.full((3, 64, 96), 0.5))
    mean = first(init="mean").mean((1, 2)) * 255
    torch.testing.assert_close(mean, torch.tensor([123.68, 116.779, 103.939]), rtol=0, atol=1e-3)
    uniform = first(init="uniform").flatten()
    shares = torch.histc(uniform, 4, 0, 1) / uniform.numel()
    assert float((shares - 0.25).abs().max()) < 0.02
    noise = first(init="noise")
    assert abs(float(noise.mean()) - 0.5) < 0.01 and abs(float(noise.std()) - 0.24) < 0.01
    styled = first(init="style_noise")
    wanted = torch.tensor([0.25, 0.55, 0.85])
    torch.testing.assert_close(styled.mean((1, 2)), wanted, rtol=0, atol=0.003)
    torch.testing.assert_close(styled.std((1, 2)), torch.full((3,), 0.05), rtol=0, atol=0.003)


def test_first_pictures_depend_on_the_seed_alone() -> None:
    for init in INITS:
        again = torch.equal(first(init=init, seed=3), first(init=init, seed=3))
        other = torch.equal(first(init=init, seed=3), first(init=init, seed=4))
        assert again and other == (init in ("content", "content_matched", "gray"))


def test_noise_is_mixed_in_by_its_share() -> None:
    pure = first(init="content", init_noise=1.0, seed=2)
    half = first(init="content", init_noise=0.5, seed=2)
    inside = (pure > 0) & (pure < 1)  # what was clipped is not half way
    torch.testing.assert_close(half[inside], ((CONTENT + pure) / 2)[inside])


def test_a_styles_targets_follow_the_colors_of_the_contents_mask(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    """Red regions of the content take the red region of the style, whatever the order."""
    picture("c.png", 1), picture("s.png", 2)
    for name, colors in (("c_m.png", ("red", "lime", "blue")), ("s_m.png", ("lime", "red"))):
        mask = Image.new("RGB", (72, 56))
        for i, color in enumerate(colors):
            mask.paste(color, (i * 72 // len(colors), 0, 72, 56))
        mask.save(tmp_path / name)
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
        "masks: {content: '{stem}_m.png', style: '{stem}_m.png'}\n"
        "settings: {preset: classic, size: 72, scale_start: 0, style_layers: [conv1_1]}\n"
    )
    job = next(Plan(load_manifest(tmp_path / "m.yaml"), lambda s: "", 1).jobs())
    network = Backbone(load_weights("lite"), ("conv1_1",))
    reader = StyleReader(
        schedule_scales(job.settings, 72, 56), network.digest, tmp_path / "cache",
        lambda pixels, settings, mask, compared: compute_targets(
            network, pixels, settings, mask, lambda w, h: 0, compared
        ),
    )  # fmt: skip
    content = read_content(job.content.path, "white", False, job.content.mask)
    prepared = reader.prepare(job, content, None)
    assert content.mask is not None
    assert content.mask.names == ("#0000ff", "#00ff00", "#ff0000")
    assert prepared.shares == (0.0, 0.5, 0.5)  # blue has no style
    blue, lime, red = prepared.targets[0]["conv1_1"].double()
    style = torch.from_numpy(np.asarray(Image.open(tmp_path / "s.png").convert("RGB")) / 255.0)
    features = network(style.permute(2, 0, 1)[None].float())["conv1_1"][0].double()
    for found, part in ((lime, features[:, :, :36]), (red, features[:, :, 36:])):
        flat = part.flatten(1)
        torch.testing.assert_close(found, flat @ flat.T / flat.shape[1], rtol=1e-3, atol=1e-4)
    assert not bool(blue.any())
