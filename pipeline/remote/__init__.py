"""Remote storage: files at addresses such as `s3://bucket/photos/cat.jpg`.

In: addresses. Out: bytes, listings, local copies; every error is an `OSError` whose words have no
secrets in them. Must not know pictures, manifests, jobs or run folders; must not load torch, nor
fsspec and its drivers before an address is met.

- `drivers.py`: which package opens which storage, and how
- `steady.py`: what is tried again, and errors in words
- `objects.py`: listing, reading, writing and deleting
- `downloads.py`: local copies of what is read, in the cache folder; `ahead.py`: before it is asked
  for
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
