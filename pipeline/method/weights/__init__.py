"""Networks' weights: from a name or a file to tensors.

- `sources.py`: where a backbone's file lies: named, in torch's cache, in a package, downloaded
- `formats.py`: a file's bytes -> arrays by name; what a file is that holds no weights
- `names.py`: the names that others give to VGG's layers -> the paper's
- `preprocessing.py`: what a network's first convolution wants to see
- `known.py`: a digest and layers, for planning
- `network.py`: all of it brought to one form, checked, with a digest
- `tensors.py`: the same as tensors
"""
