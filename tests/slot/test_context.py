"""What crosses the border to a worker, and what it does there."""

import pickle
from pathlib import Path

from pipeline import address
from pipeline.address import as_path, kept_secrets, secret_of
from pipeline.remote import downloads_folder, keep_downloads_in
from pipeline.slot import RunContext


def test_a_worker_opens_addresses_as_the_run_does_and_shows_no_secret(tmp_path: Path) -> None:
    run = as_path("s3://KEY:topsecret@bucket/run")
    context = RunContext(run, tmp_path / "cache", "lite", None, None, secrets=kept_secrets())
    assert "topsecret" not in repr(context)
    sent = pickle.dumps(context)
    address._KEPT.clear()  # as in another process
    there: RunContext = pickle.loads(sent)
    there.enter()
    assert str(there.run) == "s3://bucket/run"
    assert secret_of(there.run) == ("KEY:topsecret", "")  # type: ignore[arg-type]
    assert downloads_folder().parent == tmp_path / "cache"
    keep_downloads_in(None)
