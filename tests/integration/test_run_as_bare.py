"""A script under ``relume run`` does, byte for byte, what it does under ``python``."""

import os
import signal
import subprocess
import sys
import zipfile

import pytest

from relume.runs.query import read_run
from tests.integration.run_stage import RUN, environment, finish, start, twins

TRAIN = "import torch\ntorch.train_step()\n"

SCRIPTS = {
    "what a script sees of itself": """
        import sys, os, threading
        main = sys.modules["__main__"]
        print(sys.argv, __name__, __file__, __spec__, sorted(vars(main)), sys.path, os.getcwd())
        print(sys.flags, sys.warnoptions, sys.orig_argv, sys.executable, sys.stdout.encoding)
        print(sys.stdin.buffer.read(), sys.getrecursionlimit(), threading.active_count())
        print([type(finder).__name__ for finder in sys.meta_path], "sitecustomize" in sys.modules)
        print(vars(torch.__loader__), torch.__loader__ is torch.__spec__.loader)
    """,
    "stack and source": """
        import inspect, sys, traceback
        class Net: pass
        def f(): traceback.print_stack(); print(len(inspect.stack()))
        f(); print(inspect.getsource(Net)); print(sys._getframe().f_back)
    """,
    "an exception": "def f(x):\n    return [1][x]\nprint('before')\nf(3)",
    "chained exceptions": """
        def f():
            try:
                torch.relu("z")
            except TypeError as error:
                raise ValueError("from") from error
        try:
            f()
        except ValueError:
            {}["context"]
    """,
    "a group of exceptions": "raise ExceptionGroup('both', [ValueError(1), KeyError('ключ')])",
    "recursion": "def f(n): return f(n + 1)\nf(0)",
    "an error of syntax": "x = = 1",
    "a missing module": "import no_such_module_here",
    "exit with a number": "import sys; sys.exit(3)",
    "exit with none": "import sys; sys.exit()",
    "exit with words": "import sys; sys.exit('так не пойдёт')",
    "exit with an object": "import sys; sys.exit({'a': 1})",
    "exit in a thread": """
        import sys, threading
        threading.Thread(target=sys.exit, args=(4,)).start(); print("on")
    """,
    "an exception in a thread": """
        import threading
        def work(): raise ValueError("in a thread")
        thread = threading.Thread(target=work); thread.start(); thread.join()
    """,
    "the end of a script": """
        import atexit, threading, time
        atexit.register(print, "registered first")
        atexit.register(print, "registered last")
        def work(): time.sleep(.2); torch.train_step(); print("thread")
        threading.Thread(target=work).start()
        print("main")
    """,
    "an exception at exit": "import atexit; atexit.register(int, 'x')",
    "interrupted": "print('before')\nraise KeyboardInterrupt",
    "warnings": "import warnings; warnings.warn('careful'); warnings.warn('x', DeprecationWarning)",
    "pickles": """
        import pickle, copy
        class Net: size = 3
        print(pickle.loads(pickle.dumps(Net())).size, pickle.dumps(Net()))
    """,
    "spawned workers": """
        import multiprocessing
        class Task:
            def __init__(self, n): self.n = n
        def work(task): torch.train_step(); return task.n ** 2, __name__
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(work, [Task(2), Task(3)]))
    """,
    "forked workers": """
        import multiprocessing, os, sys
        def work(n): torch.train_step(); print("worker", n, flush=True)
        process = multiprocessing.get_context("fork").Process(target=work, args=(1,))
        process.start(); process.join(); print(process.exitcode, flush=True)
        if os.fork() == 0: sys.exit(3)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
    """,
    "children": """
        import subprocess, sys
        code = "import torch; torch.train_step(); print('child'); raise SystemExit(7)"
        print(subprocess.run([sys.executable, "-c", code]).returncode, flush=True)
        print(subprocess.run(["bash", "-c", "echo shell"]).returncode)
    """,
    "leaving at once": "import os; print('lost'); os._exit(9)",
}  # fmt: skip


WITH_CHILDREN = ("spawned workers", "forked workers", "children")


def written(folder, body, name="train.py", head=TRAIN):
    lines = body.strip("\n").split("\n")
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    script = folder / name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(head + "\n".join(line[margin:] for line in lines) + "\n", "utf-8")
    return script


@pytest.mark.parametrize("body", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_behaves_as_bare(tmp_path, body):
    written(tmp_path, body)
    arguments = ["train.py", "--every", "1", "--help", "-m", "--", "ключ", ""]
    bare, watched = twins(*arguments, cwd=tmp_path, stdin=b"\xff\x00in\r\n")
    assert watched == bare
    files = 1 + (body in {SCRIPTS[name] for name in WITH_CHILDREN})
    if body == SCRIPTS["an error of syntax"]:
        files = 0
    assert len(list(tmp_path.glob("relume-train/run*.sqlite"))) == files


def test_a_script_in_another_folder_that_changes_folder(tmp_path):
    body = "import os, sys; print(sys.path[0], __file__); os.chdir('/'); print(os.getcwd())"
    written(tmp_path, body, "deep/er/train it.py")
    bare, watched = twins("deep/er/train it.py", cwd=tmp_path)
    assert watched == bare
    assert (tmp_path / "relume-train it" / "run.sqlite").exists()


def test_a_module_of_a_package(tmp_path):
    written(tmp_path, "rate = .1", "pack/settings.py", head="")
    written(tmp_path, "print('package')", "pack/__init__.py", head="")
    body = (
        "import sys; from .settings import rate; print(rate, sys.argv, __package__, sys.path); 1/0"
    )
    written(tmp_path, body, "pack/train.py")
    bare, watched = twins("-m", "pack.train", "-m", "x", cwd=tmp_path)
    assert watched == bare
    assert (tmp_path / "relume-train").is_dir()


@pytest.mark.parametrize("form", ["folder", "app.zip"])
def test_a_folder_or_a_zip_file(tmp_path, form):
    written(tmp_path, "import sys; print(__file__, sys.path[0], sys.argv)", "folder/__main__.py")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.write(tmp_path / "folder" / "__main__.py", "__main__.py")
    bare, watched = twins(form, "x", cwd=tmp_path)
    assert watched == bare
    assert watched[0] == 0


def test_a_reader_that_goes_away(tmp_path):
    written(tmp_path, "for i in range(100_000): print(i)")
    ends = []
    for command in ("python train.py", " ".join(RUN[1:]) + " -q train.py"):
        line = (
            f"{sys.executable} {command.removeprefix('python ')} | head -1; exit ${{PIPESTATUS[0]}}"
        )
        ends.append(finish(["bash", "-c", line], cwd=tmp_path))
    assert ends[1] == ends[0]


def test_flags_of_python_are_passed_on(tmp_path):
    written(tmp_path, "import sys; print(sys.flags, sys.warnoptions, sys.stdout.write_through)")
    flags = ["-u", "-O", "-W", "error::UserWarning", "-X", "dev"]
    bare = finish([sys.executable, *flags, "train.py"], cwd=tmp_path)
    watched = finish([RUN[0], *flags, *RUN[1:], "-q", "train.py"], cwd=tmp_path)
    assert watched == bare


def test_another_sitecustomize_is_loaded_under_its_name(tmp_path):
    written(tmp_path, "rate = 3", "site/sitecustomize.py", head="")
    written(tmp_path, "import sitecustomize as s; print(s.rate, s.__file__, s.__name__)")
    path = f"{environment()['PYTHONPATH']}{os.pathsep}{tmp_path / 'site'}"
    bare, watched = twins("train.py", cwd=tmp_path, env={"PYTHONPATH": path})
    assert watched == bare
    assert watched[1].startswith(b"3 ")


def test_torch_is_found_after_somebody_only_looked_for_it(tmp_path):
    head = "import importlib.util\nassert importlib.util.find_spec('torch')\n"
    bare, watched = twins(str(written(tmp_path, "print(1)", head=head + TRAIN)), cwd=tmp_path)
    assert watched == bare
    assert (tmp_path / "relume-train").is_dir()


WAITING = """
    import threading, time
    threading.Timer(0.2, print, ("ready",), {"flush": True}).start()
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_script_as_it_ends_a_bare_one(tmp_path, number):
    script = str(written(tmp_path, WAITING))
    ends = []
    for command in ([sys.executable, script], [*RUN, script]):
        process = start(command, cwd=tmp_path)
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        ends.append((*process.communicate(timeout=60), process.returncode))
    (out, err, code), (watched_out, watched_err, watched_code) = ends
    ours = [line for line in watched_err.splitlines(True) if line.startswith(b"relume: ")]
    assert len(ours) == 2
    assert (watched_out, watched_err.replace(b"".join(ours), b"")) == (out, err)
    assert code == watched_code == -number
    assert b"interrupted" in ours[0]
    assert (tmp_path / "relume-train" / "report.html").exists()


def test_a_handler_of_the_script_keeps_its_signal(tmp_path):
    body = """
        import os, signal, sys
        print([signal.getsignal(number) for number in signal.valid_signals()])
        print(signal.signal(signal.SIGTERM, lambda *_: (print("saved"), sys.exit(5))))
        os.kill(os.getpid(), signal.SIGTERM)
    """
    bare, watched = twins(str(written(tmp_path, body)), cwd=tmp_path)
    assert watched == bare
    assert watched[0] == 5


def test_a_handler_that_the_script_takes_back(tmp_path):
    body = """
        import os, signal
        before = signal.signal(signal.SIGTERM, print)
        print(signal.signal(signal.SIGTERM, before), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
    """
    bare, watched = twins(str(written(tmp_path, body)), cwd=tmp_path)
    assert watched == bare
    assert watched[0] == -signal.SIGTERM
    run = read_run(tmp_path / "relume-train" / "run.sqlite")
    assert run.info.status == "interrupted"


def test_a_forked_worker_can_be_terminated(tmp_path):
    body = """
        import multiprocessing, time
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        process.start(); process.terminate(); process.join(); print(process.exitcode)
    """
    bare, watched = twins(str(written(tmp_path, body)), cwd=tmp_path)
    assert watched == bare
    assert watched[1] == b"-15\n"


def test_a_script_without_torch_pays_next_to_nothing(tmp_path):
    """The start-up hook imports nothing that Python has not imported before."""
    body = "import sys; print(sorted(set(sys.modules) - {'atexit'}))"
    bare, watched = twins(str(written(tmp_path, body, head="")), cwd=tmp_path)
    assert watched == bare
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_what_is_heavy_is_not_imported_in_the_script(tmp_path):
    heavy = ["pandas", "sklearn", "matplotlib", "polars", "rich", "typer", "jinja2", "relume.cli"]
    body = f"import sys; print([name for name in {heavy} if name in sys.modules])"
    _, watched = twins(str(written(tmp_path, body)), cwd=tmp_path)
    assert watched == (0, b"[]\n", b"")


def test_what_is_said(tmp_path):
    script = str(written(tmp_path, "print(1)"))
    code, out, err = finish([*RUN, script], cwd=tmp_path)
    assert (code, out) == (0, b"1\n")
    headline, place = err.decode().splitlines()
    assert headline.startswith("relume: ")
    assert place == "relume: report: relume-train/report.html"
    script = str(written(tmp_path, "import torch", head=""))
    said = b"relume: no training step was seen; nothing was recorded\n"
    assert finish([*RUN, script], cwd=tmp_path) == (0, b"", said)
    assert not (tmp_path / "relume-train-2").exists()


def test_nothing_is_said_when_quiet(tmp_path):
    script = written(tmp_path, "print(1)")
    assert finish([*RUN, "--quiet", str(script)], cwd=tmp_path) == (0, b"1\n", b"")
    assert (tmp_path / "relume-train" / "report.html").exists()


def test_the_start_up_hook_is_quick(tmp_path):
    """Imports at start-up, as Python counts them: those of our hook take less than 5 ms."""
    script = str(written(tmp_path, "pass", head=""))
    assert min(_hook_us(script, tmp_path) for _ in range(3)) < 5000


def _hook_us(script, folder):
    done = subprocess.run(
        [RUN[0], "-X", "importtime", *RUN[1:], "-q", script],
        cwd=folder, capture_output=True, text=True, check=True,
        env=environment() | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)},
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.endswith("sitecustomize")]
    return sum(int(line.split("|")[0].removeprefix("import time:")) for line in lines[-2:])
