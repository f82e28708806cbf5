"""Plan -> batches -> slots: who runs what, what is tried again, when to stop.

In: a plan, what workers need, options. Out: a `Summary`; everything else is in the run folder.
Must not know how a picture is made, nor what a command prints.

- `run.py`: the run in progress; `counts.py`, `run_json.py`: its summary; `ending.py`,
  `stopping.py`: its early end, signals; `log.py`: `run.log`
- `earlier.py`: what lies there already; `feed.py`, `shared.py`: what is to be run next, and by
  which of several processes; `clips.py`, `videos.py`:
  frames that follow on each other, and videos of them
- `engine.py`: what an engine is; `engines.py`: the engines by name, with what each needs;
  `blame.py`: whether a slot or its batches are to blame for what was lost
- `local.py`, `cluster.py`: processes of this machine, and of a cluster: `dask_cluster.py`,
  `ray_cluster.py`. A new engine is a file beside these, a line in `engines.py` and a test
- `worker.py`, `serving.py`: a process of this machine, as its driver has it and from within
- `slots.py`, `cores.py`, `tune.py`: devices and shares of them
- `options.py`: how a run is carried out
- `estimate.py`: a plan's time; `progress.py`, `live_progress.py`: what a person sees
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for, since torch takes
# seconds to load and options, progress and status need none.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
