"""A run as one HTML page: a summary, and its pictures as a grid of any two axes.

In: a run folder. Out: `report.html`, which opens from disk without a network, and small files
beside it in `report/`: thumbnails, each job's record and loss curves in chunks that the page loads
when they are looked at, and `live.js`, by which an open page sees that it was made anew. Reads
records only; knows nothing of networks or devices.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2

from pipeline.report.axes import make_axes
from pipeline.report.data import failure_reasons, page_data, run_figures
from pipeline.report.details import script_json, write_details
from pipeline.report.drawings import timeline_svg
from pipeline.report.entries import find_entries
from pipeline.report.thumbnails import make_thumbnails
from pipeline.store import RunFolder, now
from pipeline.version import __version__

# In this order, one function's body: each may use what stands before it, and all when it is called.
_SCRIPTS = (
    "base.js", "marks.js", "layout.js", "grid.js", "viewer.js", "address.js", "start.js",
)  # fmt: skip


@dataclass(frozen=True)
class Built:
    """What `build_report` did.

    Attributes:
        path: the page.
        jobs: how many records and failed jobs it shows.
        left_out: records that could not be read, each with the reason.
    """

    path: Path
    jobs: int
    left_out: tuple[str, ...]


def build_report(store: RunFolder, *, live: bool = False) -> Built:
    """Writes `report.html` of a run, done or not, and what it needs.

    Thumbnails that are there already are kept; those of pictures that are gone are removed.

    Args:
        live: the run goes on, and the page is to look for what is new.

    Raises:
        RunFolderError: no space or no rights, or the pictures are in tar shards.
    """
    store.check_loose()
    entries, left_out = find_entries(store)
    folder = store.path / "report"
    thumbnails = make_thumbnails(store, folder / "thumbs", entries)
    axes = make_axes(entries)
    data = page_data(store, entries, axes, thumbnails, folder / "thumbs")
    write_details(store, folder / "detail", entries)
    figures = run_figures(store, entries)
    stamp = hashlib.sha256(script_json([data, figures, live]).encode()).hexdigest()[:16]
    data |= {"live": live, "stamp": stamp}
    page = (
        _environment()
        .get_template("report.html")
        .render(
            title=store.path.resolve().name,
            version=__version__,
            summary=figures,
            failures=failure_reasons(entries),
            left_out=left_out,
            timeline=timeline_svg(entries),
            data=script_json(data),
            scripts=_SCRIPTS,
        )
    )
    path = store.path / "report.html"
    store.inside.write(path, page.encode(errors="backslashreplace"))  # paths need not be UTF-8
    news = {"stamp": stamp, "live": live, "time": now()}
    store.inside.write(folder / "live.js", f"nstLive({script_json(news)});\n".encode())
    return Built(path, len(entries), tuple(left_out))


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "web")
    return jinja2.Environment(
        loader=loader,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # of what is included: it may end in a comment
    )
