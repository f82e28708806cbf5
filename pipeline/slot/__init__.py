"""What runs in a worker process: a batch, from files to files.

In: a `RunContext` and a `Batch`. Out: a `Report`; pictures and records are in the run folder by
then. Must not know other slots, engines or commands.

- `messages.py`: all that crosses the process's border, with `plan`'s `Batch`
- `work.py`: what workers are told to do, by name
- `session.py`: the batch's way through the slot; `trial.py`: a few steps, for estimates
- `seat.py`, `precision.py`, `determinism.py`, `cores.py`, `visible.py`: where and how it runs;
  `process.py`: what the process keeps between batches, `allocator.py`: memory too;
  `compiling.py`: networks compiled
- `preflight.py`, `health.py`: whether a device works; `agreement.py`: whether it computes as
  another does
- `inputs.py`: files as the plan saw them; `ahead.py`: what is read while the batch before runs;
  `beginnings.py`: what jobs begin with
- `contents.py`, `styles.py` (and `sizes.py`, `targets.py`, `neighbors.py`, `compared.py`,
  `kept.py`), `tensors.py`: what it needs, from files to tensors
- `motion.py`, `flow.py`: what a clip's frame goes on from
- `fitting.py`, `memory.py`: how much at once; `faults.py`: errors that are a device's
- `loop.py`: the step loop; `interruptible.py`: stops within steps; `divergence.py`: whether losses
  fell; `way.py`, `checkpoint.py`, `frames.py`, `curves.py`, `timer.py`: what is kept and told on
  the way
- `untouched.py`: where masks leave pictures as they are; `outputs.py`: pictures and records
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for, since torch takes
# seconds to load and whoever passes messages on needs none.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
