"""How large style pictures are beside their contents."""

import pytest

from pipeline.manifest import Settings
from pipeline.method import schedule_scales
from pipeline.slot import style_sizes

SETTINGS = Settings(size="original", fit="long")


def sizes(side: int, settings: Settings = SETTINGS) -> tuple[tuple[int, int], ...]:
    return style_sizes((1200, 800), settings, schedule_scales(settings, side, side * 2 // 3))


def test_pictures_of_nearly_one_size_share_a_style_s_sizes() -> None:
    assert len({sizes(side)[-1] for side in range(480, 600)}) == 2


@pytest.mark.parametrize("side", [90, 100, 333, 640, 1000, 4000])
def test_a_style_is_nearly_as_large_as_a_content_of_its_own_size(side: int) -> None:
    (width, height) = sizes(side)[-1]
    assert 0.91 < width / side < 1.1
    assert width / height == pytest.approx(1.5, rel=0.03)
    larger = sizes(side, SETTINGS.model_copy(update={"style_scale": 1.5}))[-1]
    assert larger[0] / width == pytest.approx(1.5, rel=0.02)
