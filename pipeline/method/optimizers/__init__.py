"""The optimizers: how the pixels of a batch are moved.

In: pictures and their gradients. Out: the pictures, moved in place. Must not know losses or
networks.

- `table.py`: the optimizers by name; `optimizer.py`: what one is
- `adam.py`, `lbfgs.py`: a file each
"""
