"""The notebook in `docs/` runs as it stands, cell by cell, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs/tour.ipynb"

# As a notebook does: all cells in one namespace, the last line's value shown.
RUN = """
import ast, json, sys

space = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1])):
    tree = ast.parse(cell)
    shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    if shown is not None:
        print(repr(eval(compile(ast.Expression(shown.value), "cell", "eval"), space)))
"""


def test_the_notebook_runs_twice_and_makes_nothing_anew(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    # Small, since what is asked here is whether it runs.
    texts = ["".join(cell["source"]) for cell in cells]
    texts = [t.replace("size=192", "size=48").replace('"size": 128', '"size": 48') for t in texts]
    texts = [t.replace("= run_batch(manifest,", "= run_batch(manifest, 'cpu',") for t in texts]
    (tmp_path / "cells.json").write_text(json.dumps(texts + texts[-3:]))
    (tmp_path / "manifests").symlink_to(ROOT / "manifests", target_is_directory=True)
    ran = subprocess.run(
        [sys.executable, "-c", RUN, "cells.json"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "2 styles" in ran.stdout
    assert "(4, 0, 0)" in ran.stdout and "(0, 4, 0)" in ran.stdout
