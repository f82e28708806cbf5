"""The losses: what a picture is compared by.

In: features of the pictures that are optimized, and targets. Out: B values each, with gradients.
Must not know networks, files or optimizers.

- `objective.py`: all of them together, weighed job by job
- `content.py`, `total_variation.py`: these losses by name; `laplacian.py`: outlines that stay
- `style.py`: the style losses by name; `statistic.py`: what such a loss is
- `gram.py`, `mean_std.py`, `wasserstein.py`, `sliced_wasserstein.py`: a file each; `roots.py`: the
  trace of a matrix root
- `guides.py`: regions; `gradient_norm.py`: gradients divided by their size; `squares.py`: sums
"""
