"""Run a script inside ``relume.watch``: ``python watch_script.py FOLDER SCRIPT [ARGUMENT…]``."""

import runpy
import sys
from pathlib import Path

from relume.watching import watch

folder, script = sys.argv[1:3]
sys.argv = sys.argv[2:]
sys.path[0] = str(Path(script).parent)
with watch(out=folder, every=1, report=False):
    runpy.run_path(script, run_name="__main__")
