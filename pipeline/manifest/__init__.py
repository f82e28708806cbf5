"""YAML -> a valid manifest.

In: a file. Out: a frozen `Manifest` whose pictures exist and whose settings are all valid, or all
that is wrong with it, each with its line. Must not know jobs, devices, networks or the run folder;
must not load torch.

- `load.py`: the way through; `reading.py`: what its steps share
- `text.py`: a file's text; `yaml_text.py`: YAML within limits; `document.py`: with lines;
  `schema.py`, `structure.py`: its keys and types; `explain.py`, `close_names.py`: errors in words
- `table.py`: every setting, one table; `fields.py`: types; `presets.py`, `levels.py`: numbers under
  a name; `settings.py`: a job's settings; `old_names.py`; `given.py`: from the command line
- `check.py`: settings and grid; `consistency.py`: what has to go together; `networks.py`,
  `backbone.py`: networks, their weights
- `paths.py`: what paths mean; `folders.py`: the one walk through folders; `pictures.py`,
  `clips.py`, `sets.py`, `styles.py`, `masks.py`: files, clips, data sets, blends and regions, masks
- `remote.py`: pictures of remote storage
- `pairs.py`, `maps.py`, `map_text.py`: explicit pairs; maps of them as files, and these as text
- `job_names.py`: jobs by name, glob or list
- `model.py`: what comes out; `contents.py`: any number of pictures, in little memory
- `wishes.py`: which knob gives which look
- `editors.py`: the JSON Schema; `peers/`: other tools' commands as manifests

Paths are relative to the manifest's own folder. Lists stand only under `grid:`.
"""

import lazy_loader

# The names stand in `__init__.pyi`; each is loaded when it is first asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
