import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
MISSING = importlib.util.find_spec("relume.kernels._native") is None


def compiler():
    named = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    return shutil.which(named)


def test_the_extension_is_built_where_a_compiler_is():
    """Otherwise every test of the native sums would silently test the torch operations alone."""
    if MISSING and compiler() is None:
        pytest.skip("needs a C compiler")
    assert not MISSING, "run `make setup`, or `python setup.py build_ext --inplace`"
    from relume.kernels.unit_sums import IS_NATIVE

    assert IS_NATIVE or os.environ.get("RELUME_NATIVE") == "0"


@pytest.fixture
def native_add():
    if MISSING:
        pytest.skip("needs the C extension")
    return importlib.import_module("relume.kernels._native").add


ABOVE, OUTSIDE, SUMS, SUMS_ABOVE, SUMS_NONZERO, ABSOLUTE = range(6)
VALUES = np.ones((3, 4), np.float32)


def arguments(**changed):
    """The arguments of a call that works, in their order, some of them changed."""
    good = {
        "sums": np.zeros((3, 4)), "work": SUMS_ABOVE, "address": VALUES.ctypes.data, "element": 0,
        "shape": (3, 4), "strides": (4, 1), "axis": 1, "low": 0.0, "high": 0.0,
    }  # fmt: skip
    assert set(changed) <= set(good)
    return list((good | changed).values())


def test_a_call_that_works(native_add):
    given = arguments()
    assert native_add(*given) == 3
    assert given[0].tolist() == [[3.0] * 4] * 3


@pytest.mark.parametrize(
    ("work", "rows"),
    [(ABOVE, 1), (OUTSIDE, 1), (SUMS, 2), (SUMS_ABOVE, 3), (SUMS_NONZERO, 3), (ABSOLUTE, 1)],
)
def test_sums_of_any_other_size_are_refused(native_add, work, rows):
    assert native_add(*arguments(sums=np.zeros((rows, 4)), work=work)) == 3
    for shape in ((rows, 3), (rows, 5), (rows + 1, 4), (rows - 1, 4), (0,)):
        sums = np.zeros(shape)
        with pytest.raises(ValueError, match=f"must be {rows} x 4 float64"):
            native_add(*arguments(sums=sums, work=work))
        assert not sums.any()


def read_only():
    sums = np.zeros((3, 4))
    sums.flags.writeable = False
    return sums


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"sums": np.zeros((3, 4), np.int64)}, ValueError),
        ({"sums": np.zeros((3, 8), np.float32)}, ValueError),
        ({"sums": np.zeros((3, 8))[:, ::2]}, ValueError),
        ({"sums": read_only()}, (ValueError, BufferError)),
        ({"sums": [0.0] * 12}, TypeError),
        ({"work": 6}, ValueError),
        ({"work": -1}, ValueError),
        ({"element": 4}, ValueError),
        ({"element": -1}, ValueError),
        ({"address": 0}, ValueError),
        ({"address": "here"}, TypeError),
        ({"shape": [3, 4]}, TypeError),
        ({"shape": (3, 4, 1)}, ValueError),
        ({"shape": (3, -4)}, ValueError),
        ({"shape": (2**40, 2**40)}, ValueError),
        ({"shape": (0, 2**62)}, ValueError),
        ({"shape": (3, "four")}, TypeError),
        ({"shape": (2**70, 4)}, OverflowError),
        ({"strides": (4,)}, ValueError),
        ({"strides": (-4, 1)}, ValueError),
        ({"strides": (4, None)}, TypeError),
        ({"shape": (1,) * 65, "strides": (1,) * 65}, ValueError),
        ({"axis": 2}, ValueError),
        ({"axis": -3}, ValueError),
        ({"shape": (), "strides": (), "axis": 0}, ValueError),
        ({"low": "zero"}, TypeError),
    ],
    ids=lambda changed: str(next(iter(changed))) if isinstance(changed, dict) else None,
)
def test_what_makes_no_sense_is_refused_at_the_door(native_add, changed, error):
    with pytest.raises(error):
        native_add(*arguments(**changed))


def test_a_wrong_number_of_arguments_is_refused(native_add):
    for given in ([], arguments()[:-1], [*arguments(), 1]):
        with pytest.raises(TypeError, match="9 arguments"):
            native_add(*given)


SAME_NUMBERS = """
import torch
from relume.kernels.unit_sums import IS_NATIVE, UnitSums
values = torch.arange(-30.0, 30.0).reshape(5, 4, 3)
sums = UnitSums(4)
sums.add_output_above(values, 1, 2.0)
sums.add_saturation(values, 1, -7.0, 8.0)
sums.add_gradient(values, 1)
totals = sums.read()
print(IS_NATIVE)
print(totals.positions, totals.gradient_positions, *(
    array.tolist()
    for array in (totals.fired, totals.saturated, totals.total, totals.total_square,
                  totals.gradient)
))
"""


def test_without_the_extension_the_numbers_are_the_same():
    printed = {}
    for setting in ("0", ""):
        done = subprocess.run(
            [sys.executable, "-c", SAME_NUMBERS], env=os.environ | {"RELUME_NATIVE": setting},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        printed[setting] = done.stdout.splitlines()
    assert printed["0"][0] == "False"
    assert printed[""][0] == str(not MISSING)
    assert printed["0"][1] == printed[""][1]


def test_a_compiler_that_fails_does_not_stop_the_installation(tmp_path):
    setuptools = list(importlib.metadata.distributions(name="setuptools"))
    if not setuptools or int(setuptools[0].version.split(".")[0]) < 77:
        pytest.skip("needs setuptools 77")
    done = subprocess.run(
        [
            sys.executable, "setup.py", "build_ext",
            "--build-lib", str(tmp_path / "library"), "--build-temp", str(tmp_path / "objects"),
        ],
        env=os.environ | {"CC": "false"}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'building extension "relume.kernels._native" failed' in done.stdout + done.stderr
    assert not list(tmp_path.rglob("_native*"))
