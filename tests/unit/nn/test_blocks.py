"""The parts that the networks share."""

import pytest
import torch
from torch import nn

from relume.errors import SettingsError, UnknownNameError
from relume.nn.blocks import ActivationChoice, ComplexPairs, Heads, dense_block, normalisation
from relume.nn.complex_valued import complex_relu, phase_relu
from relume.nn.registry import activation_names


@pytest.mark.parametrize("name", activation_names())
@pytest.mark.parametrize("wanted", [6, 7])
@pytest.mark.parametrize("axis", [1, -1])
def test_the_width_is_what_was_asked_for(name, wanted, axis):
    chosen = ActivationChoice(name)
    outputs = chosen.outputs(wanted)
    assert outputs - wanted in (0, wanted % 2)
    shape = (3, chosen.inputs(outputs), 5, 4) if axis == 1 else (3, 5, chosen.inputs(outputs))
    out = chosen.module(outputs, axis=axis)(torch.randn(shape))
    assert out.shape[axis] == outputs
    assert out.dtype == torch.float32
    assert out.numel() * chosen.inputs(outputs) == outputs * torch.Size(shape).numel()


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_maxout_gets_as_many_features_as_it_has_pieces(pieces):
    chosen = ActivationChoice("maxout", {"pieces": pieces})
    assert chosen.inputs(7) == 7 * pieces
    assert chosen.module(7)(torch.randn(2, 7 * pieces)).shape == (2, 7)


def test_complex_pairs_are_halves():
    z = torch.randn(5, 6, 3, 3)
    for function, axis in ((complex_relu, 1), (phase_relu, -3)):
        module = ComplexPairs(FunctionModule(function), axis)
        real, imaginary = z[:, :3], z[:, 3:]
        wanted = function(torch.complex(real, imaginary))
        assert torch.equal(module(z), torch.cat((wanted.real, wanted.imag), 1))


class FunctionModule(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def test_a_choice_says_what_it_cannot_use():
    with pytest.raises(UnknownNameError, match="unknown activation 'rellu'"):
        ActivationChoice("rellu", {"alpha": 1})
    with pytest.raises(SettingsError, match="parameters of elu must be names with values; got 3"):
        ActivationChoice("elu", 3)
    with pytest.raises(SettingsError, match="alpha of elu must be a number; got True"):
        ActivationChoice("elu", {"alpha": True})
    with pytest.raises(SettingsError, match="pieces must be at least 2; got 1"):
        ActivationChoice("maxout", {"pieces": 1}).inputs(4)


def test_each_norm_against_its_definition():
    x = torch.randn(16, 6, 5, 5) * 3 + 1
    over = {"batch": (0, 2, 3), "layer": (1, 2, 3)}
    for kind, axes in over.items():
        wanted = (x - x.mean(axes, keepdim=True)) / x.std(axes, keepdim=True, correction=0)
        torch.testing.assert_close(
            normalisation(kind, 6, spatial=True)(x), wanted, atol=1e-4, rtol=0
        )
    rows = torch.randn(16, 6)
    for kind, axis in {"batch": 0, "layer": 1}.items():
        wanted = (rows - rows.mean(axis, keepdim=True)) / rows.std(axis, keepdim=True, correction=0)
        torch.testing.assert_close(normalisation(kind, 6)(rows), wanted, atol=1e-3, rtol=0)
    assert normalisation(None, 6) is None
    with pytest.raises(SettingsError, match="norm must be one of None, batch, layer; got 'bach'"):
        normalisation("bach", 6)


def test_a_norm_takes_the_place_of_the_bias():
    relu = ActivationChoice("relu")
    assert dense_block(2, 3, relu, norm=None, dropout=0.0).linear.bias is not None
    assert dense_block(2, 3, relu, norm="batch", dropout=0.0).linear.bias is None


def test_alpha_dropout_keeps_mean_and_variance_of_selu():
    selu = ActivationChoice("SELU")
    block = dense_block(256, 4096, selu, norm=None, dropout=0.3)
    assert type(block.dropout) is nn.AlphaDropout
    assert type(dense_block(2, 3, ActivationChoice("relu"), norm=None, dropout=0.3).dropout) is (
        nn.Dropout
    )
    torch.manual_seed(0)
    a = block.activation(torch.randn(64, 4096))
    dropped = block.dropout(a)
    assert not torch.equal(dropped, a)
    assert dropped.mean().item() == pytest.approx(0, abs=0.02)
    assert dropped.var().item() == pytest.approx(1, abs=0.03)
    plain = nn.Dropout(0.3)(a)
    assert plain.var().item() > 1.3


def test_heads_answer_under_their_own_names():
    names = ["label", "type", "a.b", "a_b", "keys", "forward"]
    heads = Heads(4, dict.fromkeys(names, 2))
    a = torch.randn(3, 4)
    out = heads(a)
    assert list(out) == names
    modules = dict(heads.named_children())
    assert list(modules) == ["label", "type_", "a_b", "a_b_", "keys_", "forward_"]
    for name, module in zip(names, modules.values(), strict=True):
        assert torch.equal(out[name], module(a))
