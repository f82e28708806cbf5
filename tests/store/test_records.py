"""What is read back from JSON: of today's form, of older ones, and what is neither."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from fake_run import bare_record

from pipeline.manifest import Settings
from pipeline.store import Failure, Record, RunFolder, SlotState, Summary, Unreadable
from pipeline.store.forms import parse, why_not
from pipeline.store.headers import Owner

OUTPUT = {"bytes": 1, "sha256": "0" * 64, "size": [4, 3], "path": "images/a.png"}
# As version 0.1.0 wrote them, before names became American.
OLD_RECORD = {
    "schema": 1, "key": "k", "output": OUTPUT, "name": "a",
    "content": {"path": "c.png", "sha256": "c", "size": [8, 6]},
    "style": {
        "name": "s",
        "pictures": [{"path": "s.png", "sha256": "s", "weight": 1.0, "size": [8, 6]}],
    },
    "settings": {"optimiser": "lbfgs", "normalised": True, "seed": 0},
    "swept": {"optimiser": "lbfgs"},
    "backbone": {"name": "lite", "weights_sha256": "w"}, "algorithm": 3, "seed": 0,
    "device": "cpu", "precision": "fp32", "versions": {"nst": "0.1.0"},
    "finished": "2026-01-01T00:00:00+00:00",
    "seconds": {"read": 0.1, "optimise": 2.0, "write": 0.1},
    "targets": {"hits": 1, "computed": 0}, "scales": [[32, 24, 4]], "steps": 4,
    "losses": [{"step": 1, "content": 0.0, "style": 1.0, "tv": 0.5, "total": 1.5}],
    "batch": {"number": 0, "size": 1}, "attempts": 1, "warnings": [],
}  # fmt: skip
OLD_SUMMARY = {
    "jobs": 4, "already_done": 1, "done": 2, "failed": 1, "retries": 0, "out_of_memory": 0,
    "stopped": False, "problem": "", "targets_hits": 1, "targets_computed": 2, "seconds": 3.5,
    "images_per_hour": 100.0, "utilisation": 0.75, "devices": ["cpu"],
    "slots": {
        "0": {
            "device": "cpu", "batches": 1, "jobs": 2, "busy_s": 2.0, "busy_share": 0.5,
            "phases_s": {"optimise": 1.5, "read": 0.5}, "sizes": {"2": 1},
        }
    },
    "started": "then", "updated": "later", "ended": True,
    "failures": [{"name": "x", "type": "ImageError", "error": "gone"}], "next": [],
    "earlier": [
        {
            "started": "before", "done": 1, "failed": 0, "retries": 0, "seconds": 1.0,
            "images_per_hour": 3600.0, "utilisation": 0.5,
        }
    ],
    "classes": {".": {"jobs": 4, "done": 3, "failed": 1}}, "styles": {},
}  # fmt: skip


def read(form: Any, data: object) -> Any:
    return parse(form, json.dumps(data).encode())


def test_an_old_record_is_read_with_todays_names() -> None:
    record = read(Record, OLD_RECORD)
    assert record.settings == {"optimizer": "lbfgs", "normalized": True, "seed": 0}
    assert record.swept == {"optimizer": "lbfgs"}
    assert record.seconds == {"read": 0.1, "optimize": 2.0, "write": 0.1}
    assert record.scales == [(32, 24, 4)] and record.losses[0]["total"] == 1.5
    assert record.content.mask is None and record.animation is None


def test_an_old_summary_is_read_with_todays_names() -> None:
    summary = read(Summary, OLD_SUMMARY)
    assert summary.utilization == 0.75 and summary.earlier[0].utilization == 0.5
    assert summary.slots["0"].phases_s == {"optimize": 1.5, "read": 0.5}
    assert summary.slots["0"].sizes == {2: 1}
    assert summary.exit_code == 1
    assert read(Summary, summary.whole()) == summary


def test_a_record_goes_out_as_it_came_in() -> None:
    new = read(Record, OLD_RECORD).plain()
    assert read(Record, new).plain() == new
    assert list(new)[:3] == ["schema", "key", "output"]  # what a resumed run reads first
    later = {**new, "something": "of a later version"}
    assert read(Record, later).plain()["something"] == "of a later version"


def test_what_a_worker_writes_has_no_key_that_the_type_lacks(tmp_path: Path) -> None:
    from pipeline import library

    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: c.ppm\nstyle: s.ppm\nbackbone: lite\n"
        "settings: {size: 48, steps: 2, animation: gif}\ngrid: {seed: [0]}\n"
    )
    for name in ("c.ppm", "s.ppm"):
        (tmp_path / name).write_bytes(b"P6 64 64 255\n" + bytes(3 * 64 * 64))
    library.run_batch_file(tmp_path / "m.yaml", devices="cpu", quiet=True)
    (record,) = RunFolder(tmp_path / "run").records()
    parts = [record, record.output, record.content, record.style, *record.style.pictures]
    assert not [part.model_extra for part in parts if part.model_extra]
    assert set(Record.model_fields) == record.model_fields_set
    (summary,) = RunFolder(tmp_path / "run").summaries().values()
    assert not summary.model_extra and summary.slots
    header = RunFolder(tmp_path / "run").header()
    assert header is not None and header.backbone.name == "lite"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "valid dictionary"),
        (b'{"key": "k"}', "Field required"),
        (json.dumps({**OLD_RECORD, "output": {**OUTPUT, "size": [1]}}).encode(), "output.size.1"),
        (json.dumps({**OLD_RECORD, "losses": [{}]}).encode(), "losses.0.step"),
    ],
)
def test_what_is_no_record_says_why(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as raised:
        parse(Record, data)
    assert why in why_not(raised.value)
    store = RunFolder(tmp_path)
    store.images.mkdir()
    (store.images / "a.json").write_bytes(data)
    (found,) = store.all_records()
    assert isinstance(found, Unreadable) and found.path == "images/a.json" and why in found.why
    assert store.record("a") is None and list(store.records()) == []


def test_a_record_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    (store.images / "a.json").mkdir(parents=True)
    (found,) = store.all_records()
    assert isinstance(found, Unreadable) and found.why == "Is a directory"


def test_a_damaged_summary_or_header_is_passed_over(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    for data in (b"[]", b"{}", b"\xff", b'{"jobs": "many"}'):
        (tmp_path / "run.json").write_bytes(data)
        (tmp_path / "plan.json").write_bytes(data)
        assert store.summaries() == {} and store.header() is None


def test_lines_of_failures_that_are_cut_are_passed_over(tmp_path: Path) -> None:
    whole = json.dumps({"name": "b", "error": "gone", "swept": {"seed": 1}})
    cut = '{"name": "a\u00e4'.encode()[:-1]
    (tmp_path / "failures.jsonl").write_bytes(cut + b"\n" + whole.encode() + b"\n[]\n")
    (failure,) = RunFolder(tmp_path).failures().values()
    assert (failure.name, failure.error, failure.swept) == ("b", "gone", {"seed": 1})


def test_failures_are_written_with_their_version(tmp_path: Path) -> None:
    RunFolder(tmp_path).add_failure(Failure(name="a", error="gone", time="now"))
    line = json.loads((tmp_path / "failures.jsonl").read_text())
    assert line == {"name": "a", "error": "gone", "time": "now"} | {"schema": 1}


def test_news_of_slots_come_and_go(tmp_path: Path) -> None:
    store = RunFolder(tmp_path / "run")
    store.begin("", {})
    assert store.live.slot("0") is None and store.live.slots() == []
    state = SlotState(slot="0", time=1.0, pid=7, job="a\udc80", loss=math.inf)
    store.live.write_slot(state.model_copy(update={"loss": None}))
    assert store.live.slot("0") is not None and store.live.slots()[0].job == "a\udc80"
    (store.temporary / "slot-1.json").write_text("{")
    assert [found.slot for found in store.live.slots()] == ["0"]
    store.end()
    assert store.live.slots() == []
    store.live.write_slot(state.model_copy(update={"loss": None}))  # the folder is gone: no error


def test_who_holds_a_folder_is_told_even_of_a_damaged_note(tmp_path: Path) -> None:
    assert read(Owner, {"host": "h", "pid": 1, "since": "then"}).pid == 1
    store = RunFolder(tmp_path)
    store.write_job("a", "k", Settings(), b"x", (1, 1), bare_record("a"))
    assert store.record("a") is not None
