"""Picture files <-> arrays.

In: paths, or tensors. Out: upright 8-bit sRGB pictures and float32 tensors 3 x H x W in [0, 1];
bytes to be written; videos. Must not know jobs, settings, networks or run folders.

- `formats.py`: which formats are read; the one way to open a file
- `deep_tiff.py`, `levels.py`: samples of more than 8 bits, and TIFF layouts that Pillow lacks
- `identity.py`: a file's bytes and digest; `headers.py`: what it says without its pixels;
  `read.py`: its pixels; `reduced.py`: no more of them than are needed
- `profiles.py`, `sizes.py`, `fit.py`: sRGB; sizes, and pictures scaled to them
- `masks.py`: regions of a picture; `regions.py`: their names
- `tensors.py`: pictures and masks as tensors and back; `color.py`: keeping the content's colors
- `write.py`: encoding; `text.py`: the text that a written picture holds
- `sets.py`: data sets that are files of many pictures, tar shards (`tars.py`,
  `plain_tars.py`) and tables (`rows.py`); `set_member.py`: a picture of one
- `videos.py`: videos as frames, and back; `flow.py`: motion between two pictures; `extra.py`: the
  packages for these

Only `tensors.py` and `color.py` load torch; `write.py` does where it encodes.
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for, since torch takes
# seconds to load and manifests, plans and pages need none.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
