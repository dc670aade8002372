import math

import pytest
import torch
from torch import nn

from relume.kernels import weight_norms
from relume.kernels.weight_norms import distance, is_native, keep, norm, sample

SIZES = [0, 1, 7, 1024, 1025, 4999]


@pytest.fixture(params=[True, False], ids=["native", "torch"])
def way(request, monkeypatch):
    """By the extension, or by torch operations; that each takes its way is checked."""
    if request.param and not weight_norms.IS_NATIVE:
        pytest.skip("needs the extension, which was not built")
    monkeypatch.setattr(weight_norms, "IS_NATIVE", request.param)
    return request.param


def room(x):
    return torch.empty_like(x)


def whole(tensors):
    return torch.cat([x.detach().double().reshape(-1) for x in tensors])


def tensors(*sizes, scale=1.0):
    return [scale * torch.randn(size) for size in sizes]


@pytest.mark.parametrize("size", SIZES)
def test_norms_are_those_of_float64(way, size):
    torch.manual_seed(size)
    x, y = tensors(size, 12), tensors(size, 12)
    assert is_native(x[0]) == way
    assert norm(x) == pytest.approx(whole(x).norm().item(), rel=1e-6)
    apart = (whole(x) - whole(y)).norm().item()
    assert distance(x, y, room) == pytest.approx(apart, rel=1e-6)


def test_what_is_kept_is_the_same_to_the_bit(way):
    weights = [nn.Parameter(x) for x in tensors(33, 2049)]
    copies = [torch.full_like(x, math.nan).detach() for x in weights]
    assert is_native(weights[0]) == way
    assert keep(weights, copies) == pytest.approx(whole(weights).norm().item(), rel=1e-6)
    assert all(torch.equal(x, copy) for x, copy in zip(weights, copies, strict=True))
    assert not any(copy.requires_grad for copy in copies)


@pytest.mark.usefixtures("way")
def test_numbers_that_are_none_are_not_hidden():
    assert math.isnan(norm([torch.tensor([1.0, math.nan])]))
    assert norm([torch.tensor([1.0, -math.inf])]) == math.inf
    assert norm([torch.zeros(5)]) == 0.0


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "x",
    [
        torch.arange(12.0).view(3, 4).T,
        torch.arange(12.0, dtype=torch.float64),
        torch.arange(12.0, dtype=torch.bfloat16),
        torch.view_as_complex(torch.arange(12.0).view(6, 2)).conj().imag,  # negated when read
    ],
    ids=["transposed", "float64", "bfloat16", "negated"],
)
def test_other_tensors_are_read_by_torch(x):
    assert not is_native(x)
    expected = pytest.approx(whole([x]).norm().item(), rel=1e-2 if x.dtype.itemsize < 4 else 1e-6)
    copy = torch.empty_like(x)
    assert norm([x]) == expected
    assert distance([x], [torch.zeros_like(x)], room) == expected
    assert keep([x], [copy]) == expected
    assert torch.equal(copy, x)


def test_memory_beyond_a_shorter_copy_is_not_read():
    with pytest.raises(RuntimeError):
        distance([torch.ones(4096)], [torch.ones(3)], room)
    with pytest.raises(RuntimeError):
        keep([torch.ones(4096)], [torch.ones(3)])


def test_a_sample_is_of_the_first_numbers(way):
    x = torch.cat([torch.tensor([1.0, 3.0]), torch.full((50,), 1e6)])
    assert sample(x, 2) == ((2.0, 5.0) if way else None)
    assert sample(x[:1], 2) == ((1.0, 1.0) if way else None)
    assert sample(torch.zeros(0), 2) is None
    seen = []
    torch.func.grad(lambda z: seen.append(sample(z, 2)) or z.sum())(x)
    assert seen == [None]


@pytest.mark.skipif(not weight_norms.IS_NATIVE, reason="needs the extension, which was not built")
def test_the_extension_refuses_what_makes_no_sense():
    native = pytest.importorskip("relume.kernels._native")
    for call in (native.total, native.squares, native.copy_squares):
        with pytest.raises(TypeError, match="3 arguments"):
            call(0)
        with pytest.raises(ValueError, match="null or the length negative"):
            call(0, 0, 3)
        with pytest.raises(ValueError, match="null or the length negative"):
            call(0, 0, -1)
        assert call(0, 0, 0) == 0.0
    x = torch.ones(3)
    with pytest.raises(ValueError, match="null"):
        native.copy_squares(x.data_ptr(), 0, 3)
