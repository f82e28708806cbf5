"""Tables by name: what the settings offer is what there is, and nothing else."""

from typing import Any, get_args

import pytest

from pipeline.manifest import Settings
from pipeline.method import Padding, Pooling
from pipeline.method.losses.content import CONTENT_LOSSES
from pipeline.method.losses.style import STATISTICS
from pipeline.method.losses.total_variation import TV_LOSSES
from pipeline.method.optimizers.table import OPTIMIZERS
from pipeline.pictures.color import TRANSFERS
from pipeline.slot.process import NetworkKey


@pytest.mark.parametrize(
    ("setting", "table"),
    [
        ("style_loss", STATISTICS),
        ("loss", CONTENT_LOSSES),
        ("tv_loss", TV_LOSSES),
        ("optimizer", OPTIMIZERS),
        ("color_transfer", TRANSFERS),
        ("pooling", get_args(Pooling)),
        ("padding", get_args(Padding)),
    ],
)
def test_a_settings_choices_are_those_of_its_table(setting: str, table: Any) -> None:
    assert set(get_args(Settings.model_fields[setting].annotation)) == set(table)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_style_loss_is_measured_in_every_way(name: str) -> None:
    assert {"relative", *STATISTICS[name].divisors} == set(CONTENT_LOSSES)


def test_what_makes_a_network_is_in_its_key() -> None:
    assert {"pooling", "pooling_scale", "padding", "layers"} <= set(NetworkKey._fields)
