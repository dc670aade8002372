import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from relume.kernels.unit_sums import IS_NATIVE, UnitSums

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
BOTH = pytest.mark.parametrize("native", [True, False], ids=["native", "torch"])

LAYOUTS = {
    "rows": (lambda x: x(128, 70), 1),
    "rows by a negative axis": (lambda x: x(128, 70), -1),
    "many rows of few units": (lambda x: x(1001, 3), 1),
    "one unit": (lambda x: x(77, 1), 1),
    "one row": (lambda x: x(1, 700), 1),
    "a vector of units": (lambda x: x(9), 0),
    "more units than lanes": (lambda x: x(6, 600), 1),
    "more rows than are folded at once": (lambda x: x(300, 20), 1),
    "time steps": (lambda x: x(9, 11, 30), 2),
    "channels of sequences": (lambda x: x(9, 30, 11), 1),
    "channels of images": (lambda x: x(17, 5, 7, 6), 1),
    "channels of large images": (lambda x: x(2, 5, 33, 21), 1),
    "channels of volumes": (lambda x: x(9, 4, 3, 5, 2), 1),
    "channels last": (lambda x: x(9, 6, 5, 4).to(memory_format=torch.channels_last), 1),
    "channels last in three dimensions": (
        lambda x: x(3, 6, 4, 5, 2).to(memory_format=torch.channels_last_3d), 1,
    ),
    "units first": (lambda x: x(40, 130), 0),
    "transposed": (lambda x: x(40, 130).t(), 1),
    "transposed channels": (lambda x: x(12, 9, 5, 4).transpose(0, 1), 1),
    "every second unit": (lambda x: x(20, 60)[:, ::2], 1),
    "every second row": (lambda x: x(20, 60)[::2], 1),
    "a window of images": (lambda x: x(9, 6, 12, 14)[:, 1:5, 2:9, ::3], 1),
    "the same row again": (lambda x: x(1, 50).expand(20, 50), 1),
    "the same unit again": (lambda x: x(20, 1).expand(20, 50), 1),
    "one number again": (lambda x: x(1).expand(20, 50), 1),
    "overlapping windows": (lambda x: x(50, 4).unfold(0, 5, 1), 1),
    "swapped pixels": (lambda x: x(9, 6, 5, 4).permute(3, 1, 0, 2), 1),
}  # fmt: skip


def rounding(dtype):
    """Bound of the relative error: 128 rows, 8 halvings of the lanes, a square and a conversion.

    In float64 twice that, since numpy rounds as well.
    """
    return 138 * (2.0**-52 if dtype == torch.float64 else 2.0**-24)


def by_unit(values, axis):
    """Bring the unit axis first and flatten the rest: (units, positions), in float64."""
    array = np.moveaxis(values.detach().double().numpy(), axis, 0)
    return array.reshape(array.shape[0], -1)


def make(dtype):
    generator = torch.Generator().manual_seed(0)

    def values(*shape):
        drawn = torch.randn(shape, generator=generator).to(dtype)
        drawn[drawn.abs() < 0.3] = 0.0
        return drawn

    return values


def everything(values, axis, threshold=0.0, *, native=True):
    """What each way of adding adds, one UnitSums a way."""
    units = values.shape[axis]
    ways = {
        "firing": lambda s: s.add_firing(values, axis, threshold),
        "output": lambda s: s.add_output(values, axis),
        "above": lambda s: s.add_output_above(values, axis, threshold),
        "nonzero": lambda s: s.add_output_nonzero(values, axis),
        "saturation": lambda s: s.add_saturation(values, axis, -0.5, 1.0),
        "gradient": lambda s: s.add_gradient(values, axis),
    }
    totals = {}
    for way, add in ways.items():
        sums = UnitSums(units, native=native)
        add(sums)
        totals[way] = sums.read()
    return totals


def check_against_numpy(values, axis, threshold=0.0, *, native=True):
    plain = by_unit(values, axis)
    found = everything(values, axis, threshold, native=native)
    positions = plain.shape[1]
    above = (plain > threshold).sum(1)
    assert found["firing"].fired.tolist() == above.tolist()
    assert found["above"].fired.tolist() == above.tolist()
    assert found["nonzero"].fired.tolist() == (plain != 0).sum(1).tolist()
    saturated = (plain <= -0.5) | (plain >= 1.0)
    assert found["saturation"].saturated.tolist() == saturated.sum(1).tolist()
    for way in ("output", "above", "nonzero"):
        assert found[way].positions == positions
        within = rounding(values.dtype)
        assert np.all(np.abs(found[way].total - plain.sum(1)) <= within * np.abs(plain).sum(1)), way
        np.testing.assert_allclose(found[way].total_square, (plain**2).sum(1), rtol=within)
    assert found["gradient"].gradient_positions == positions
    np.testing.assert_allclose(
        found["gradient"].gradient, np.abs(plain).sum(1), rtol=rounding(values.dtype)
    )


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_type_against_numpy(layout, dtype, native):
    build, axis = LAYOUTS[layout]
    check_against_numpy(build(make(dtype)), axis, native=native)


def test_each_way_adds_to_its_own_sums_only():
    values = torch.tensor([[1.0, -2.0]])
    for way, totals in everything(values, 1).items():
        filled = {
            name
            for name in ("fired", "saturated", "total", "total_square", "gradient")
            if getattr(totals, name).any()
        }
        expected = {
            "firing": {"fired"},
            "output": {"total", "total_square"},
            "above": {"fired", "total", "total_square"},
            "nonzero": {"fired", "total", "total_square"},
            "saturation": {"saturated"},
            "gradient": {"gradient"},
        }[way]
        assert filled == expected, way


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_threshold_is_rounded_to_the_type_as_torch_compares(dtype, native):
    threshold = torch.tensor([0.1], dtype=dtype)
    beside = [torch.nextafter(threshold, torch.tensor([to], dtype=dtype)) for to in (-1.0, 1.0)]
    values = torch.cat([beside[0], threshold, beside[1]])[None]
    sums = UnitSums(3, native=native)
    sums.add_firing(values, 1, 0.1)
    sums.add_saturation(values, 1, 0.1, 0.2)
    assert sums.read().fired.tolist() == [0, 0, 1]
    assert sums.read().saturated.tolist() == [1, 1, 0]
    assert torch.gt(values, 0.1).tolist() == [[False, False, True]]


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype, native):
    tiny = torch.finfo(dtype).smallest_normal / 2
    special = [float("nan"), float("inf"), float("-inf"), -0.0, 0.0, tiny, -tiny, 1.0]
    values = torch.tensor([special] * 5, dtype=dtype)
    found = everything(values, 1, native=native)
    assert found["above"].fired.tolist() == [0, 5, 0, 0, 0, 5, 0, 5]
    assert found["firing"].fired.tolist() == [0, 5, 0, 0, 0, 5, 0, 5]
    assert found["nonzero"].fired.tolist() == [5, 5, 5, 0, 0, 5, 5, 5]
    assert found["saturation"].saturated.tolist() == [0, 5, 5, 0, 0, 0, 0, 5]
    inf = float("inf")
    np.testing.assert_allclose(
        found["above"].total, [np.nan, inf, -inf, 0, 0, 5 * tiny, -5 * tiny, 5]
    )
    np.testing.assert_allclose(
        found["gradient"].gradient, [np.nan, inf, inf, 0, 0, 5 * tiny, 5 * tiny, 5]
    )
    both = UnitSums(1, native=native)
    both.add_output(torch.tensor([[inf], [-inf]], dtype=dtype), 1)
    assert np.isnan(both.read().total[0])
    assert both.read().total_square[0] == inf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_number_of_a_half_type_is_read_right(dtype):
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    values = bits.view(dtype)[None]
    sums = UnitSums(2**16)
    sums.add_output_above(values, 1)
    sums.add_gradient(values, 1)
    expected = values[0].float()
    np.testing.assert_array_equal(sums.read().total, expected.double().numpy())
    np.testing.assert_array_equal(sums.read().gradient, expected.abs().double().numpy())
    np.testing.assert_array_equal(sums.read().fired, (expected > 0).numpy())


def test_subnormal_halves_count_where_subnormals_are_flushed():
    values = torch.tensor([[2.0**-24, -(2.0**-24)]], dtype=torch.float16)
    if not torch.set_flush_denormal(True):
        pytest.skip("needs a processor that can flush subnormals")
    try:
        sums = UnitSums(2)
        sums.add_output_above(values, 1)
    finally:
        torch.set_flush_denormal(False)
    assert sums.read().fired.tolist() == [1, 0]
    assert sums.read().total.tolist() == [2.0**-24, -(2.0**-24)]


@BOTH
@pytest.mark.parametrize("shape", [(0, 4), (5, 0), (0, 0), (3, 4, 0), (0, 4, 2, 2)])
def test_no_values_add_nothing(shape, native):
    sums = UnitSums(shape[1], native=native)
    sums.add_output_above(torch.zeros(shape), 1)
    sums.add_gradient(torch.zeros(shape), 1)
    totals = sums.read()
    assert totals.positions == totals.gradient_positions == 0
    assert not totals.fired.any()
    assert totals.total.shape == (shape[1],)


@BOTH
@pytest.mark.parametrize(
    ("values", "axis", "complaint"),
    [
        (torch.ones(3, 4), 2, "unit axis 2"),
        (torch.ones(3, 4), -3, "unit axis -3"),
        (torch.tensor(1.0), 0, "unit axis 0"),
        (torch.ones(3, 5), 1, "5"),
        (torch.ones(3, 1), 1, "1"),
        (torch.ones(0, 5), 1, "5"),
    ],
)
def test_a_wrong_axis_or_number_of_units_adds_nothing(values, axis, complaint, native):
    sums = UnitSums(4, native=native)
    for add in (sums.add_output_above, sums.add_firing, sums.add_gradient):
        with pytest.raises(ValueError, match=complaint):
            add(values, axis)
    totals = sums.read()
    assert totals.positions == totals.gradient_positions == 0
    assert not totals.total.any()


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"below the upper one; got 1\.0 and -1\.0"):
        UnitSums(1).add_saturation(torch.ones(1, 1), 1, 1.0, -1.0)


@BOTH
def test_sums_run_on_until_they_are_cleared(native):
    sums = UnitSums(2, native=native)
    for _ in range(3):
        sums.add_output_above(torch.tensor([[1.0, -2.0]]), 1)
        sums.add_gradient(torch.tensor([[3.0, -4.0]]), 1)
    first = sums.read()
    assert (first.positions, first.gradient_positions) == (3, 3)
    assert (first.fired.tolist(), first.total.tolist()) == ([3, 0], [3.0, -6.0])
    assert (first.total_square.tolist(), first.gradient.tolist()) == ([3.0, 12.0], [9.0, 12.0])
    sums.clear()
    sums.add_output_above(torch.tensor([[0.0, 5.0]]), 1)
    second = sums.read()
    assert (second.positions, second.gradient_positions) == (1, 0)
    assert (second.fired.tolist(), second.total.tolist()) == ([0, 1], [0.0, 5.0])
    assert first.total.tolist() == [3.0, -6.0]


def test_complex_and_whole_values_go_by_torch():
    sums = UnitSums(2)
    sums.add_output_nonzero(torch.tensor([[3 + 4j, 0j]]), 1)
    sums.add_output_nonzero(torch.tensor([[0.5, 2.0]]), 1)
    sums.add_output_nonzero(torch.tensor([[1, 2]]), 1)
    totals = sums.read()
    assert totals.positions == 3
    assert totals.fired.tolist() == [3, 2]
    assert totals.total.tolist() == [6.5, 4.0]
    lazily_negated = torch.tensor([[1 + 1j, 1 - 1j]]).conj().imag
    assert lazily_negated.is_neg()
    sums.add_firing(lazily_negated, 1)
    assert sums.read().fired.tolist() == [3, 3]


@BOTH
def test_no_graph_and_no_mode_stays_on_the_sums(native):
    sums = UnitSums(3, native=native)
    weight = torch.nn.Parameter(torch.ones(2, 3))
    with torch.inference_mode():
        sums.add_output_above(weight * 2, 1)
    sums.add_output_above(weight, 1)
    sums.add_output_above(weight * 2, 1)
    sums.add_gradient(weight * 2, 1)
    assert sums.read().total.tolist() == [10.0, 10.0, 10.0]


@BOTH
@pytest.mark.parametrize(
    "add",
    [
        lambda f: torch.func.vmap(f)(torch.ones(3, 4)),
        lambda f: torch.func.grad(f)(torch.ones(4)),
        lambda f: f(torch.ones(4).to_sparse()),
    ],
    ids=["vmap", "grad", "sparse"],
)
def test_a_tensor_without_memory_is_refused(add, native):
    sums = UnitSums(4, native=native)

    def watched(x):
        sums.add_output_above(x, 0)
        return x.sum()

    with pytest.raises(TypeError, match="without memory of its own"):
        add(watched)
    sums.add_output_above(torch.ones(4), 0)
    assert sums.read().total.tolist() == [1.0] * 4


@BOTH
def test_a_fake_tensor_is_refused(native):
    from torch._subclasses import FakeTensorMode

    sums = UnitSums(4, native=native)
    with FakeTensorMode(), pytest.raises(TypeError, match="FakeTensor without memory"):
        sums.add_gradient(torch.ones(3, 4), 1)
    assert sums.read().gradient_positions == 0


class Calls(TorchDispatchMode):
    """Every operation that runs, and those that move a tensor to the host."""

    def __init__(self):
        super().__init__()
        self.names = []
        self.to_host = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket._qualified_op_name)
        if str((kwargs or {}).get("device", "meta")) != "meta":
            self.to_host.append(self.names[-1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64])
def test_adding_on_another_device_never_waits_for_it(dtype):
    """The device that has no numbers stands for one that is still computing them."""
    values = torch.ones(5, 4, 3, dtype=dtype, device="meta")
    sums = UnitSums(4)
    with Calls() as calls:
        if not dtype.is_complex:
            sums.add_firing(values, 1, 0.1)
            sums.add_output_above(values, 1)
            sums.add_saturation(values, 1, -0.9, 0.9)
        sums.add_output(values, 1)
        sums.add_output_nonzero(values, 1)
        sums.add_gradient(values, 1)
        sums.clear()
    waits = {"aten::_local_scalar_dense", "aten::nonzero", "aten::item", "aten::equal"}
    assert "aten::add_" in calls.names
    assert not waits & set(calls.names)
    assert calls.to_host == []
    with Calls() as calls, pytest.raises(NotImplementedError):
        sums.read()
    assert calls.to_host == ["aten::_to_copy"]


def test_what_several_devices_added_is_read_as_one():
    sums = UnitSums(2)
    sums.add_output_above(torch.tensor([[1.0, 2.0]]), 1)
    sums.add_output_above(torch.tensor([[1.0 + 0j, 2.0]]).abs().to(torch.float64), 1)
    sums.add_output_nonzero(torch.tensor([[3 + 4j, 1j]]), 1)
    assert sums.read().total.tolist() == [7.0, 5.0]


def test_long_sums_stay_accurate():
    """A running float32 sum of this many tenths would be wrong in the third digit."""
    values = torch.full((400_000, 3), 0.1)
    sums = UnitSums(3)
    sums.add_output(values, 1)
    np.testing.assert_allclose(
        sums.read().total, 400_000 * float(np.float32(0.1)), rtol=rounding(torch.float32)
    )


def test_counts_of_both_are_equal_on_random_numbers():
    values = torch.randn(500, 33, generator=torch.Generator().manual_seed(5))
    ours, torchs = (everything(values, 1, 0.25, native=native) for native in (True, False))
    for way, totals in ours.items():
        assert totals.fired.tolist() == torchs[way].fired.tolist()
        assert totals.saturated.tolist() == torchs[way].saturated.tolist()
    assert (UnitSums(1)._native is not None) == IS_NATIVE


@pytest.mark.parametrize("native", [True, False])
def test_counts_are_those_of_both_ways(native):
    """Also of tensors that only torch can read, such as one whose sign is a bit of its own."""
    sums, z = UnitSums(3, native=native), torch.tensor([[1.0, -1.0, 2.0], [3.0, 0.0, -4.0]])
    sums.add_output_above(z, 1)
    sums.add_output_above(torch._neg_view(z), 1)
    sums.add_saturation(z, 1, -2.0, 2.0)
    fired, saturated = sums.counts()
    assert fired.tolist() == sums.read().fired.tolist() == [2, 1, 2]
    assert saturated.tolist() == sums.read().saturated.tolist() == [1, 0, 2]
