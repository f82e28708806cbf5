"""Pictures of before, with the teacher's features of them."""

import random

import torch

from pipeline.distill.replay import Replay


def group(value: float, count: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    return torch.full((count, 3, 2, 2), value), {"conv1_1": torch.full((count, 4, 2, 2), value)}


def test_the_oldest_go_first_and_groups_stay_together() -> None:
    replay = Replay(5)
    for value, count in ((1.0, 2), (2.0, 2), (3.0, 2)):
        replay.add(*group(value, count))
    assert replay.together() == [2, 2] and len(replay) == 4
    assert [float(images.mean()) for images in replay.groups] == [2, 3]


def test_pictures_come_with_their_own_features_each_as_likely() -> None:
    replay = Replay(9)
    for value, count in ((1.0, 1), (2.0, 3)):
        replay.add(*group(value, count))
    images, features = replay.draw(4000, random.Random(0))
    assert torch.equal(images.mean((1, 2, 3)), features["conv1_1"].mean((1, 2, 3)))
    assert features["conv1_1"].dtype == torch.float32
    assert abs(float((images[:, 0, 0, 0] == 1).float().mean()) - 0.25) < 0.03


def test_a_group_larger_than_all_is_kept_whole() -> None:
    replay = Replay(2)
    replay.add(*group(1.0, 3))
    assert len(replay) == 3
    images, features = replay.draw(0, random.Random(0))
    assert images.shape[0] == features["conv1_1"].shape[0] == 0
