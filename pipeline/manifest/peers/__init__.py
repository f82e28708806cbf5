"""Other tools' command lines as manifests.

In: the words of a command, or a script. Out: the manifest that does the same, as YAML, with a
comment for each option that has no place in a manifest. Runs nothing; of pictures that are there it
reads the headers, where another tool's numbers depend on a picture's shape.

- `translation.py`: what was understood so far, and options as data
- `words.py`: which words are a command's; `scripts.py`: several commands, one after the other
- `neural_style.py` (and neural-style-pt), `style_transfer_pytorch.py`, `neural_style_tf.py`,
  `pastiche.py`, `pytorch_nst.py`, `keras_nst.py`: a tool each
- `tools.py`: all of them by name; `written.py`: the manifest
"""

from pipeline.manifest.peers.scripts import import_script
from pipeline.manifest.peers.tools import TOOLS, import_command

__all__ = ["TOOLS", "import_command", "import_script"]
