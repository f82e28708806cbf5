from .library import records as records
from .library import run_batch as run_batch
from .library import run_batch_file as run_batch_file
from .library import stylize_pair as stylize_pair
from .manifest import load_manifest as load_manifest

__version__: str
