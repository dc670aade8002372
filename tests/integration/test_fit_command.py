import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load_file

from relume.cli import run
from relume.runs.query import read_run
from tests.integration.command_line import last_step, relume, relume_cold, send, start, wait_for

LONG = ["--epochs", "100000", "--patience", "100000", "--lr", "1e-4"]


def one_line(done):
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("relume: ")
    assert "Traceback" not in done.stderr
    return lines[0]


def test_fit_then_predict_then_report_as_a_person_types_it(tmp_path):
    done = relume_cold("fit", "wine", "--epochs", 5, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "accuracy on 36 test rows",
        "majority class",
        "logistic regression",
        "firing rate",
    ):
        assert words in done.stdout
    assert "3 classes" in done.stderr
    folder = tmp_path / "relume-wine"
    assert sorted(p.name for p in folder.iterdir()) == ["model", "report.html", "run.sqlite"]
    done = relume("predict", "relume-wine", "wine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert pl.read_csv(tmp_path / "wine-predictions.csv").height == 178
    done = relume("predict", "relume-wine", "wine", "--json", "--overwrite", cwd=tmp_path)
    assert json.loads(done.stdout)["rows_scored"] == 178
    done = relume("report", "relume-wine", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout, parse_constant=pytest.fail)


def test_what_is_wrong_with_a_fit_is_said_and_diagnosed(tmp_path):
    mad = ("--lr", 3, "--epochs", 12, "--no-repair", "--out", "mad")
    done = relume("fit", "wine", *mad, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("warning RLM304: ")]
    assert len(said) == 1
    assert "is too high: " in said[0]
    assert "RLM304" in (tmp_path / "mad" / "report.html").read_text(encoding="utf-8")
    done = relume("diagnose", "mad", "--fail-on", "warning", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout.startswith("warning RLM304: the learning rate ")
    done = relume("fit", "wine", "--epochs", 8, "--json", cwd=tmp_path)
    assert {each["severity"] for each in json.loads(done.stdout)["findings"]} <= {"note"}
    done = relume("diagnose", "relume-wine", "--json", cwd=tmp_path)
    diagnosis = json.loads(done.stdout, parse_constant=pytest.fail)
    assert diagnosis["observed"]["training_losses"] == 1
    assert diagnosis["observed"]["evaluation_passes"] == 8
    assert len(diagnosis["not_judged"]) <= 4


def test_json_is_the_only_thing_on_stdout(tmp_path):
    done = relume("fit", "iris", "--epochs", 2, "--json", cwd=tmp_path)
    described = json.loads(done.stdout, parse_constant=pytest.fail)
    assert done.stderr == ""
    assert described["result"]["metric"] == "accuracy"
    assert [layer["units"] for layer in described["layers"]] == [256, 128]
    assert Path(tmp_path / described["folder"] / "report.html").is_file()


def test_a_config_file_and_options_over_it(tmp_path, relume_here):
    (tmp_path / "fit.toml").write_text("epochs = 3\nhidden = [7]\nlr = 0.01\n")
    done = relume("fit", "iris", "--config", "fit.toml", "--lr", "0.02", "--json", cwd=tmp_path)
    settings = read_run(tmp_path / "relume-iris" / "run.sqlite").info.settings
    assert done.returncode == 0, done.stderr
    assert (settings["epochs"], settings["hidden"], settings["lr"]) == (3, [7], 0.02)
    (tmp_path / "bad.toml").write_text("epoch = 3\n")
    done = relume_here("fit", "iris", "--config", "bad.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "'epoch'; did you mean epochs?" in one_line(done)


def test_ctrl_c_keeps_the_model_and_the_run_and_exits_130(tmp_path):
    process = start("fit", "wine", *LONG, cwd=tmp_path)
    run_file = tmp_path / "relume-wine" / "run.sqlite"
    wait_for(lambda: last_step(run_file) > 50)
    code, out, err = send(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert "interrupted" in out
    assert "--resume relume-wine" in out
    assert read_run(run_file).info.status == "interrupted"
    assert (tmp_path / "relume-wine" / "report.html").is_file()
    assert relume("predict", "relume-wine", "wine", cwd=tmp_path).returncode == 0


def test_sigterm_keeps_them_too_and_exits_143(tmp_path):
    process = start("fit", "wine", *LONG, cwd=tmp_path)
    wait_for(lambda: last_step(tmp_path / "relume-wine" / "run.sqlite") > 50)
    code, _, err = send(process, signal.SIGTERM)
    assert code == 143, err
    assert (tmp_path / "relume-wine" / "model").is_dir()


def test_a_killed_fit_loses_at_most_a_second_and_resumes_to_the_same_weights(tmp_path):
    """Killed at random moments; the record is compared with a count of steps kept by the clock."""
    options = ["--epochs", "160", "--patience", "1000", "--every", "5"]
    done = relume("fit", "wine", *options, "--out", "whole", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rng = random.Random(0)  # noqa: S311
    process = start("fit", "wine", *options, "--out", "cut", cwd=tmp_path)
    run_file = tmp_path / "cut" / "run.sqlite"
    for kill in range(2):
        floor = 60 * (kill + 1)
        wait_for(lambda floor=floor: last_step(run_file) > floor)
        time.sleep(rng.random() * 0.3)
        process.kill()
        process.communicate()
        record = read_run(run_file)
        assert record.last_step > floor
        assert record.info.status == "running"
        assert relume("report", "cut", cwd=tmp_path).returncode == 0
        process = start("fit", "--resume", "cut", cwd=tmp_path)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    whole, cut = (
        load_file(tmp_path / name / "model/weights.safetensors") for name in ("whole", "cut")
    )
    assert all((whole[name] == cut[name]).all() for name in whole)
    assert read_run(run_file).epochs == read_run(tmp_path / "whole" / "run.sqlite").epochs


def test_the_record_is_at_most_a_second_behind(tmp_path):
    """The steps done are read from a pipe, line by line, up to the moment of the kill."""
    program = (
        "import sys\n"
        "from relume.training.fit import Audience, fit\n"
        "class Count(Audience):\n"
        "    def step(self, step, steps, loss):\n"
        "        print(step, flush=True)\n"
        "fit('wine', out='out', epochs=100000, patience=100000, lr=1e-5, audience=Count())\n"
    )
    for seed in range(2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        training_s = 1.5 + random.Random(seed).random()  # noqa: S311
        times = []
        for line in process.stdout:
            times.append((int(line), time.monotonic()))
            if times[-1][1] > times[0][1] + training_s:
                break
        process.kill()
        killed = time.monotonic()
        process.wait()
        process.stdout.close()
        must_be_there = max(step for step, at in times if at < killed - 1.0)
        assert last_step(folder / "out" / "run.sqlite") >= must_be_there


GOOD = "a,b,y\n" + "".join(f"{i * 1.5},{i % 7},{'uv'[i % 2]}\n" for i in range(40))


def bad_inputs():
    rows = GOOD.splitlines()
    yield "missing file", None, ["nothing.csv"], "there is no file 'nothing.csv'"
    yield "near name", None, ["digitts"], "did you mean digits"
    yield "empty file", "", ["bad.csv", "--target", "y"], "is empty"
    yield "header only", rows[0] + "\n", ["bad.csv", "--target", "y"], "bad.csv"
    yield "one column", "y\n" + "u\nv\n" * 20, ["bad.csv", "--target", "y"], "column"
    yield "no such target", GOOD, ["bad.csv", "--target", "z"], "'z'"
    yield "no target given", GOOD.replace("a,b,y", "a,b,c"), ["bad.csv"], "--target"
    yield "one class", GOOD.replace(",v\n", ",u\n"), ["bad.csv", "--target", "y"], "in every row"
    empty_b = "a,b,y\n" + "".join(f"{i},,{'uv'[i % 2]}\n" for i in range(40))
    yield "all-missing column", empty_b, ["bad.csv", "--target", "y"], "--drop"
    yield "inf", GOOD.replace("3.0,2,u", "inf,2,u"), ["bad.csv", "--target", "y"], "row 3"
    text = GOOD.replace("\n3.0,", "\noops,")
    yield "text in numbers", text, ["bad.csv", "--target", "y"], "'oops'"
    yield "3 rows", "\n".join(rows[:4]) + "\n", ["bad.csv", "--target", "y"], "3 rows"
    yield "ragged", GOOD.replace("3.0,2,u", "3.0,2,u,9,9"), ["bad.csv", "--target", "y"], "line 4"
    yield "binary", "\x00\x01\x02" * 100, ["bad.csv", "--target", "y"], "bad.csv"
    yield "unknown activation", GOOD, ["bad.csv", "--target", "y", "--activation", "rellu"], "relu"
    yield "unknown init", GOOD, ["bad.csv", "--target", "y", "--init", "hee"], "he"
    yield "bad hidden", GOOD, ["bad.csv", "--target", "y", "--hidden", "a,b"], "--hidden"
    yield "bad rate", GOOD, ["bad.csv", "--target", "y", "--lr", "-1"], "lr must be above 0"
    yield "no config", GOOD, ["bad.csv", "--config", "none.toml"], "none.toml"
    yield "below a file", GOOD, ["bad.csv", "--target", "y", "--out", "bad.csv/x"], "cannot write"
    yield "nothing", None, [], "no data given"


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [pytest.param(*case[1:], id=case[0]) for case in bad_inputs()],
)
def test_bad_input_gets_one_clear_line_and_leaves_nothing(
    tmp_path, monkeypatch, capsys, text, arguments, words
):
    if text is not None:
        (tmp_path / "bad.csv").write_text(text)
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    code = run(["fit", *arguments])
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, ""), printed.err
    (line,) = printed.err.strip().splitlines()
    assert line.startswith("relume: ")
    assert words in line
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_class_seen_only_in_the_test_file(tmp_path, relume_here):
    (tmp_path / "train.csv").write_text(GOOD)
    (tmp_path / "test.csv").write_text(GOOD.replace("3.0,2,u", "3.0,2,w"))
    options = ["--target", "y", "--test", "test.csv"]
    done = relume_here("fit", "train.csv", *options, cwd=tmp_path)
    assert done.returncode == 2
    line = one_line(done)
    assert "'w'" in line
    assert "test.csv" in line


def test_a_wrong_option_is_named(tmp_path, relume_here):
    done = relume_here("fit", "iris", "--learning-rate", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert "--learning-rate" in done.stderr


def test_a_folder_that_may_not_be_written(tmp_path, relume_here):
    """Root may write anywhere but in /proc; anybody else is stopped by the mode."""
    if os.geteuid() == 0:
        place = Path("/proc/relume")
    else:
        place = tmp_path / "closed" / "out"
        place.parent.mkdir(mode=0o500)
    done = relume_here("fit", "iris", "--out", place, cwd=tmp_path)
    assert done.returncode == 2
    assert f"cannot write {place}" in one_line(done)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 300 kB, where this machine lets us mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root with the right to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_gives_one_line_and_nothing_half_written(tmp_path, small_disk):
    done = relume("fit", "digits", "--epochs", 3, "--out", small_disk / "out", "-q", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    line = one_line(done)
    assert "no space left" in line or "full" in line
    assert not (small_disk / "out" / "model").exists()
    assert not list((small_disk / "out").glob("*/*.safetensors"))


def test_a_limit_on_file_sizes_gives_one_line_too(tmp_path):
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # noqa: E731
    # Coverage, where it measures child processes, writes a larger file of its own.
    unmeasured = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
    options = ["--epochs", 2, "-q"]
    done = relume_cold("fit", "digits", *options, cwd=tmp_path, preexec_fn=limit, env=unmeasured)
    assert done.returncode == 2, done.stdout + done.stderr
    one_line(done)
    assert not (tmp_path / "relume-digits" / "model").exists()


def test_a_fault_of_ours_is_one_line_and_exit_code_1(tmp_path):
    program = (
        "import relume.cli, relume.training.fit as f\n"
        "def broken(*a, **k): raise ZeroDivisionError('planted')\n"
        "f.fit = broken\n"
        "relume.cli.main(['fit', 'iris'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("relume: a fault of Relume, not of yours: ZeroDivisionError")
    assert len(done.stderr.splitlines()) == 1


def test_the_demo_data_reach_their_bar_in_under_a_minute_of_cpu(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = relume_cold("fit", "digits", "--json", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(done.stdout)["result"]
    assert result["score"] >= 0.97
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu_s < 60
    assert (tmp_path / "relume-digits" / "report.html").stat().st_size <= 500_000


def test_the_command_is_installed():
    assert shutil.which("relume", path=str(Path(sys.executable).parent))
