"""The command line's words as options of a run."""

from typing import Any

import pytest

from pipeline.commands import parse_run_options
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
    assert parse_run_options(**given | {"log_format": "json"}) == RunOptions(
        engine="ray", address="auto", patience=Patience(0, 9.0), fail_fast=True, log_format="json"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"engine": "rya"}, "--engine rya: unknown; did you mean 'ray'?"),
        ({"address": "tcp://x"}, "--address goes with --engine dask or ray, not with local"),
        ({"engine": "inline", "workers": 2}, "--workers goes with --engine dask or ray"),
        ({"shard": "0/4"}, "--shard 0/4: write i/n with 1 <= i <= n"),
        ({"shard": "x"}, "--shard x: write i/n"),
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
