"""What is made and said of a run once it has ended: report, table, and what went wrong with them.

In: a run's summary. Out: files in its folder; notices, shown, in its log and counted in `run.json`.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable
from pathlib import Path

from pipeline import report as reports  # whose names load arrays when they are asked for
from pipeline.commands.report import write_own_table
from pipeline.errors import NstError, RunFolderError
from pipeline.notices import Notice
from pipeline.schedule import Progress, RunOptions, open_log
from pipeline.store import RunFolder, Summary, sample_of
from pipeline.terminal import counted

# A page holds all records in memory while it is made: of more jobs only when asked for.
REPORTED = 50_000


class Afterwards:
    """The end of one run.

    Args:
        run: its folder.
        options: as it ran; they say where its log goes.
    """

    def __init__(
        self, run: Path, summary: Summary, options: RunOptions, progress: Progress
    ) -> None:
        self._store, self._summary = RunFolder(run), summary
        self._options, self._progress = options, progress
        self._ended = [summary]

    def also_of(self, parts: Iterable[Summary]) -> None:
        """Report and table are of these parts of the run, too, and wanted if any made something."""
        self._ended += parts

    def warn(self, code: str, text: str) -> None:
        """Something that a person should know: said, logged and counted."""
        notice = Notice(code, text)
        self._progress.warn(notice.text, notice.code)
        summary, options = self._summary, self._options
        summary.warnings[code] = summary.warnings.get(code, 0) + 1
        part = RunFolder(self._store.path, summary.part)
        # Often it is the disk that has no room for more; then the words above have to do.
        with contextlib.suppress(RunFolderError, OSError):
            with open_log(part, options.log_format, options.log) as log:
                log.warning("%s: %s", notice.code, notice)
            there = part.summaries().get(summary.part)
            if there is not None and there.started == summary.started:  # no later run has begun
                part.write_summary(summary)

    def make_report(self, *, loose: bool) -> None:
        """Writes the report, of shards that of a sample.

        Args:
            loose: whether pictures are files.
        """
        summary, run = self._summary, self._store.path
        if summary.jobs > REPORTED and loose:
            self.warn(
                "no_report",
                f"no report of {counted(summary.jobs, 'job')} unasked; nst report "
                f"{shlex.quote(str(run))} makes it",
            )
        elif any(each.done + each.failed + each.moved + each.stale for each in self._ended):
            try:
                reports.build_report(sample_of(RunFolder(run)))
            except (NstError, OSError) as error:  # the run itself is whole
                self.warn("no_report", f"no report: {error}")

    def make_table(self) -> None:
        """Writes the table."""
        made = any(each.done + each.failed for each in self._ended)
        if not made or self._summary.jobs > REPORTED:
            return
        try:
            write_own_table(self._store)
        except (NstError, OSError) as error:  # the run itself is whole
            self.warn("no_report", f"no table: {error}")
