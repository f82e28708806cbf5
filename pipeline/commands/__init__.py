"""What each command does, a file a command: from its arguments to the stages and back to text.

In: what the command line parsed. Out: text on standard output and an exit code; errors are raised,
not printed. Must not know how anything is done: that is the stages' below.

- `options.py`, `given.py`, `output.py`: what several commands take, and print, alike
- `prepare.py` (and `backbone.py`, `means.py`), `run.py` (and `beside.py`, `redo.py`): a manifest's
  jobs, and its run
- `init.py`, `import_manifest.py`: manifests; `batch.py` (and `afterwards.py`, `detach.py`,
  `missing.py`, `notify.py`), `plan.py` (and `damaged.py`, `estimate.py`, `disk.py`, `why.py`),
  `pair.py` (`nst run`), `again.py` (and `alone.py`, `rounding.py`), `show.py`: one picture, and
  back from it
- `streams.py`: standard output and error that may go away
- `status.py`, `report.py` (and `nst sheet`, `nst table`), `best.py`, `clean.py`, `stop.py`: of a
  run folder, which `places.py` finds by its manifest, too; `slurm.py`: its shards as an array job
- `look_up.py` (`nst presets`, `nst schema`), `weights.py`, `cache.py`, `doctor.py` (and
  `extras.py`), `tune.py`
- `distill.py`

A new command is a file here with one public function, and a few lines in `cli.py`.
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for, since most commands
# need no torch, which takes seconds to load.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
