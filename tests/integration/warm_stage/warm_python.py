"""A Python that has imported large libraries already and forks for every run: seconds are saved.

Its arguments are the modules to import. Reads requests from stdin, one JSON object a line: what
would follow ``python`` on a command line, the working folder, the environment's further variables,
and the files for stdout and stderr. Answers each with a line: its exit code.
"""

import gc
import importlib
import json
import os
import runpy
import sys
from pathlib import Path

import coverage


def become(request):
    """Take on the streams, the folder and the arguments of a request."""
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for number, name in enumerate((os.devnull, request["stdout"], request["stderr"])):
        stream = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115


def run(arguments):
    """Run a script or ``-m module`` as the main program, traced if the environment says so."""
    coverage.process_startup()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


for name in sys.argv[1:]:
    importlib.import_module(name)
gc.collect()
gc.freeze()  # a collection in a fork would copy all the memory of the modules
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        wanted = json.loads(line)
        become(wanted)
        run(wanted["arguments"])
        break
    _, status = os.waitpid(process, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
