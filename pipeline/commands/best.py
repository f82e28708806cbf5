"""`nst best`: ranks each pair's jobs by one score for all, and writes the winners as a manifest.

In: a run folder. Out: a table or JSON lines, and a manifest. Loads torch: pictures are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from pipeline.commands.output import existing_run, print_json, say_left_out
from pipeline.errors import ImageError, ManifestError
from pipeline.files import write_atomic
from pipeline.manifest import Settings
from pipeline.method import Backbone, load_weights
from pipeline.report import Scored, by_pair, found_inputs, pairs_manifest, score_pair
from pipeline.store import Record, RunFolder
from pipeline.terminal import console, say


def rank_run(run: Path, balance: float, output: Path | None, show: int, *, as_json: bool) -> int:
    """Prints each pair's jobs by score, the best first, and writes a manifest of the winners.

    Args:
        balance: how many units of content loss a unit of style loss is worth.
        output: of the manifest; `best.yaml` in the run folder if None.
        show: how many jobs of each pair to print; 0 prints all.
    """
    store = existing_run(run)
    records, left_out = found_inputs(store, list(store.records()))
    left_out += store.left_out()
    settings = Settings()
    backbone = Backbone(load_weights("lite"), settings.layers, settings.pooling, settings.padding)
    ranked = []
    for group in by_pair(records):
        try:
            scored, gone = score_pair(store, group, backbone, balance)
        except ImageError as error:  # of its content or style
            scored, gone = [], [str(error)]
        left_out += gone
        ranked += [scored] if scored else []
    if not ranked:
        why = f" that can be ranked ({left_out[0]})" if left_out else "; run the manifest first"
        raise ManifestError([f"{run}: no pictures there{why}"])
    about = _backbone_of(store, records[0])
    manifest = output or store.path / "best.yaml"
    text = pairs_manifest([jobs[0].record for jobs in ranked], store.path.resolve() / "best", about)
    if output is None:
        store.write(manifest, text.encode())
    else:
        write_atomic(manifest, text.encode())
    if as_json:
        _print_rows(ranked)
    else:
        console().print(_table(ranked, show))
        say(f"the best of each pair: {manifest}")
    say_left_out(left_out)
    return 0


def _print_rows(ranked: Sequence[Sequence[Scored]]) -> None:
    for jobs in ranked:
        for rank, scored in enumerate(jobs, 1):
            row = {"rank": rank, "name": scored.record.name, "score": scored.score}
            print_json(row | {"content": scored.content, "style": scored.style})


def _table(ranked: Sequence[Sequence[Scored]], show: int) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "score", "content", "style"):
        table.add_column(name, justify="right")
    table.add_column("job", overflow="fold")
    for jobs in ranked:
        for rank, scored in enumerate(jobs[: show or None], 1):
            figures = (f"{v:.3f}" for v in (scored.score, scored.content, scored.style))
            table.add_row(str(rank), *figures, Text(scored.record.name))
        table.add_section()
    return table


def _backbone_of(store: RunFolder, record: Record) -> dict[str, Any]:
    """What a manifest says of the run's backbone; of a run without a plan, its name alone."""
    header = store.header()
    return header.backbone.plain() if header else dict(record.backbone)
