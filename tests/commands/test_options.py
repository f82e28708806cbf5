"""The command line's words as options of a run."""

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import Options, options, parse_choice, parse_run_options
from pipeline.errors import NstError
from pipeline.schedule import ENGINES, Patience, RunOptions
from pipeline.schedule.engines import EngineKind

WORDS: dict[str, Any] = {
    "engine": "local", "address": None, "workers": None, "shard": None, "retries": 2,
    "timeout_s": 0, "stall_s": 0, "fail_fast": False, "failed_only": False,
    "log_format": "text",
}  # fmt: skip


def test_words_become_options() -> None:
    given = WORDS | {"engine": "ray", "address": "auto", "stall_s": 9.0, "fail_fast": True}
    assert parse_run_options(**given | {"log_format": "json", "log": "-"}) == RunOptions(
        engine="ray", address="auto", patience=Patience(0, 9.0), fail_fast=True, log_format="json",
        log="-",
    )  # fmt: skip
    assert parse_run_options(**given | {"log": ""}).log is None  # NST_LOG= is none


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"engine": "rya"}, "--engine rya: unknown; did you mean 'ray'?"),
        ({"address": "tcp://x"}, "--address goes with --engine dask or ray, not with local"),
        ({"engine": "inline", "workers": 2}, "--workers goes with --engine dask or ray"),
        ({"shard": "0/4"}, "--shard 0/4: write i/n with 1 <= i <= n"),
        ({"shard": "x"}, "--shard x: write i/n"),
        ({"redo": ["style"]}, "--redo style: write axis=value"),
        ({"max_time": "8"}, "--max-time 8: write a time such as 8h"),
        ({"max_time": "0h"}, "--max-time 0h: write a time"),
        ({"max_time": "1h 5m"}, "--max-time 1h 5m: write a time"),
        ({"until": "7"}, "--until 7: write 07:00"),
        ({"until": "2001-01-31 07:00"}, "--until 2001-01-31 07:00: is past"),
        ({"log_format": "xml"}, "--log-format xml: write text or json"),
    ],
)
def test_words_that_do_not_go_together_are_told(words: dict[str, Any], message: str) -> None:
    with pytest.raises(NstError) as raised:
        parse_run_options(**WORDS | words)
    assert message in str(raised.value)


def test_a_part_is_named_by_its_shard() -> None:
    assert parse_run_options(**WORDS | {"shard": "2/4"}).part == "2-of-4"
    assert parse_run_options(**WORDS).part == ""


def test_an_engine_of_the_table_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = EngineKind("pipeline.schedule.local", "open_inline", is_cluster=True)
    monkeypatch.setitem(ENGINES, "slurm", kind)
    assert parse_run_options(**WORDS | {"engine": "slurm", "workers": 4}).workers == 4
    with pytest.raises(NstError, match="goes with --engine dask or ray or slurm"):
        parse_run_options(**WORDS | {"workers": 4})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("1.5d", 129600)])
def test_a_longest_time_is_from_now_on(text: str, seconds: float) -> None:
    ends_at = parse_run_options(**WORDS, max_time=text).ends_at
    assert ends_at is not None and ends_at - time.monotonic() == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("23:30", timedelta(minutes=30)),
        ("23:00", timedelta(days=1)),
        ("07:00", timedelta(hours=8)),
        ("2030-01-02 01:00", timedelta(hours=2)),
        ("2030-01-02T01:00", timedelta(hours=2)),
    ],
)
def test_a_time_of_the_day_is_the_next_one(text: str, after: timedelta) -> None:
    moment = datetime(2030, 1, 1, 23)
    assert options._seconds_until(text, moment) == after.total_seconds()


def test_of_two_times_the_sooner_one_ends_the_run() -> None:
    later = f"{datetime.now().year + 2}-01-01 00:00"
    ends_at = parse_run_options(**WORDS, max_time="1h", until=later).ends_at
    assert ends_at is not None and ends_at - time.monotonic() == pytest.approx(3600, abs=5)


def test_an_unknown_order_is_told() -> None:
    with pytest.raises(NstError, match="--order depth: unknown; choose plan, breadth, shuffle"):
        parse_choice([], 0, 0, 0, "depth")


def test_the_words_that_decide_the_jobs_say_how_to_go_on() -> None:
    choice = parse_choice(["style=a b*"], 5, 0, 3, "shuffle")
    run = RunOptions(shard=(1, 2), choice=choice, failed_only=True)
    given = {"size": 64, "preset": "fast", "steps": [3, 2]}
    assert options.deciding_words(Options(run=run, given=given)) == [
        "--shard", "1/2", "--set", "size=64", "--set", "preset=fast", "--set", "steps=[3, 2]",
        "--only", "style=a b*", "--limit", "5", "--seed", "3", "--order", "shuffle",
        "--failed-only",
    ]  # fmt: skip
    assert options.deciding_words(Options()) == []
    where = RunOptions(engine="dask", address="tcp://a:1")
    assert options.deciding_words(Options("cuda:0", run=where)) == [
        "--devices", "cuda:0", "--engine", "dask", "--address", "tcp://a:1",
    ]  # fmt: skip
    how = Options(
        cache=Path("c d"), run=RunOptions(engine="inline", workers=2), compiles=True, graphs=True,
        deterministic=True,
    )  # fmt: skip
    assert options.deciding_words(how) == [
        "--engine", "inline", "--workers", "2", "--cache-dir", "c d", "--compile", "--graphs",
        "--deterministic",
    ]  # fmt: skip
