"""Training a small backbone that stands in for a large one.

In: a teacher's weights and a folder of pictures. Out: a student's weights, and checkpoints on the
way. Must not know manifests, jobs, runs or the console.

- `recipe.py`: what decides the result; a new parameter goes here
- `crops.py`: pictures, crops of them, and how crops are made odd
- `student.py`: the teacher made small, the student, its heads
- `loss.py`: what is compared; `muon.py`: what moves kernels; `dreams.py`: pictures optimized
  through the student meanwhile
- `replay.py`: pictures of before with what the teacher said of them
- `training.py`: the training in progress; `checkpoint.py`: the file from which it goes on
- `files.py`: the student's file; `check.py`: how good the student is
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for, since torch takes
# seconds to load.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
