"""The method, pure torch: what becomes of tensors.

In: settings, pictures and targets as tensors. Out: steps of the optimization, with losses. Must
not know files (but for `weights/`, which reads networks), the console, a clock, jobs or
processes.

- `weights/`: where a network's weights lie, every layout that they come in; `lite.safetensors`
- `backbone.py`, `normalization.py`: the frozen network, and its normalized variant;
  `convolutions.py`: its parts; `cpu_pass.py`, `onednn.py`: its passes on a CPU; `half.py`: its
  passes in float16; `looks.py`: stops within what takes long; `shape.py`: what is known of a
  network without its numbers
- `means.py`: means over squares; `lacking.py`: what Apple's GPU does not do
- `losses/`: content, style, nearest neighbors, total variation and the frame before, a file each,
  and all of them together
- `optimizers/`: Adam and L-BFGS over a batch; `products.py`: full float32
- `scales.py`: the sizes, coarse to fine
- `first_images.py`: pictures to begin with; `moving.py`: tensors on their way to a device
- `motion.py`: warping by optical flow, and where a flow is not to be trusted
- `objective.py`, `batch_weights.py`: the objective of a batch at one scale; weights over the batch
- `stylize.py`, `scale_run.py`, `step.py`: the loop over scales, the steps of one, and one step
- `graphs.py`: a step as one CUDA graph
- `tiles.py`: losses and gradients of pictures too large to be taken whole
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for, since torch takes
# seconds to load and not all of this needs it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
