"""How a run is carried out."""

import hashlib

from pipeline.schedule import RunOptions

KEYS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(300)]


def test_shards_share_the_keys_and_leave_none_out() -> None:
    parts = [RunOptions(shard=(number, 3)) for number in (1, 2, 3)]
    taken = [[key for key in KEYS if part.takes(key)] for part in parts]
    assert sorted(key for keys in taken for key in keys) == sorted(KEYS)
    assert min(map(len, taken)) > 80
    assert [part.part for part in parts] == ["1-of-3", "2-of-3", "3-of-3"]


def test_a_whole_run_takes_every_key() -> None:
    assert all(RunOptions().takes(key) for key in KEYS) and RunOptions().part == ""
