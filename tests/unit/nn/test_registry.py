"""The catalogue by name: finding, building and recognising an activation."""

import copy
import pickle

import pytest
import torch
from torch import nn

from relume.errors import SettingsError, UnknownNameError
from relume.nn.facts import Kind
from relume.nn.modules import PerFeaturePReLU, SubgradientReLU, Swish, ThresholdedReLU
from relume.nn.registry import (
    AmbiguousNameError,
    activation_names,
    activation_of,
    activations,
    build_activation,
    firing_threshold,
    get_activation,
)

NAMES = (
    "identity relu leaky_relu prelu rrelu elu selu celu silu mish softplus gelu relu6 hardswish "
    "hardsigmoid sigmoid tanh softsign softmax squared_relu thresholded_relu concatenated_relu "
    "maxout glu reglu geglu swiglu complex_relu z_relu mod_relu phase_relu"
)
each_activation = pytest.mark.parametrize("entry", activations(), ids=lambda entry: entry.name)


def test_names_and_their_order():
    assert activation_names() == tuple(NAMES.split())


@each_activation
@pytest.mark.parametrize("axis", [1, -1])
def test_the_module_built_is_the_function_on_its_axis(entry, axis):
    outputs = 6
    inputs = entry.input_features(outputs)
    shape = (2, inputs, 4, 5) if axis == 1 else (2, 4, inputs)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    if entry.kind is Kind.COMPLEX:
        x = torch.complex(x, x.flip(0))
    module = build_activation(entry.name, features=outputs, axis=axis).double().eval()
    y = module(x)
    assert y.shape[axis] == outputs
    last = x.movedim(axis, -1)
    torch.testing.assert_close(y.movedim(axis, -1), entry.function(last), rtol=1e-14, atol=1e-15)
    assert activation_of(module) is entry
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):  # noqa: S301 (ours)
        assert torch.equal(twin(x), y)
        assert repr(twin) == repr(module)


def test_names_fold_case_and_hyphens_and_have_aliases():
    for given, name in [
        ("ReLU", "relu"),
        ("Leaky-ReLU", "leaky_relu"),
        ("swish", "silu"),
        ("logistic", "sigmoid"),
        ("ModReLU", "mod_relu"),
        (" tanh ", "tanh"),
    ]:
        assert get_activation(given).name == name


def test_no_name_or_alias_is_given_twice():
    taken = [name for entry in activations() for name in (entry.name, *entry.aliases)]
    assert len(set(taken)) == len(taken)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown activation 'rellu'; did you mean relu"):
        get_activation("rellu")


@pytest.mark.parametrize("name", ["crelu", "CReLU", "c-relu"])
def test_crelu_is_answered_with_both_of_its_meanings(name):
    with pytest.raises(AmbiguousNameError) as caught:
        get_activation(name)
    assert isinstance(caught.value, UnknownNameError)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert message.startswith(f"activation {name!r} is ambiguous")
    assert "concatenated_relu" in message
    assert "complex_relu" in message
    assert "\n" not in message


def test_where_torch_has_it_the_module_is_torchs_own():
    for name, module in [
        ("relu", nn.ReLU),
        ("silu", nn.SiLU),
        ("prelu", nn.PReLU),
        ("glu", nn.GLU),
        ("softmax", nn.Softmax),
        ("gelu", nn.GELU),
    ]:
        assert get_activation(name).module is module
        assert type(build_activation(name)) is module


def test_parameters_reach_the_module():
    assert build_activation("leaky_relu", negative_slope=0.3).negative_slope == 0.3
    assert build_activation("gelu", approximate="tanh").approximate == "tanh"
    assert build_activation("maxout", pieces=3)(torch.ones(2, 6)).shape == (2, 2)
    assert isinstance(build_activation("relu", subgradient_at_zero=0.5), SubgradientReLU)
    assert build_activation("relu", inplace=True).inplace
    assert build_activation("swish", beta=2.0).beta == 2.0
    assert isinstance(build_activation("swish", learnable=True).beta, nn.Parameter)
    assert build_activation("mod_relu", features=2, bias=-1.0).bias.tolist() == [-1, -1]
    assert build_activation("thresholded_relu", theta=0.5).threshold == 0.5


@each_activation
def test_every_default_is_what_the_built_module_uses(entry):
    shape = (3, entry.input_features(4))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    x = torch.complex(x, x.flip(0)) if entry.kind is Kind.COMPLEX else x
    bare = build_activation(entry.name, features=4).eval()
    spelled = build_activation(entry.name, features=4, **entry.defaults).eval()
    assert torch.equal(bare(x), spelled(x))


def test_prelu_has_one_slope_for_each_feature_when_asked():
    assert build_activation("prelu", features=5).weight.shape == (1,)
    conv = build_activation("prelu", features=5, axis=1, per_feature=True, init=0.1)
    assert type(conv) is nn.PReLU
    assert conv.weight.tolist() == pytest.approx([0.1] * 5)
    last = build_activation("prelu", features=5, axis=-1, per_feature=True)
    assert isinstance(last, PerFeaturePReLU)
    with torch.no_grad():
        last.weight.copy_(torch.arange(5.0))
    y = last(torch.full((2, 3, 5), -1.0))
    assert y[1, 2].tolist() == [0, -1, -2, -3, -4]


def test_parameters_that_do_not_exist_are_refused_in_one_line():
    with pytest.raises(SettingsError, match="elu has no parameter 'slope'; it takes alpha"):
        build_activation("elu", slope=0.1)
    with pytest.raises(SettingsError, match="tanh has no parameter 'alpha'; it takes none"):
        build_activation("tanh", alpha=1)
    with pytest.raises(SettingsError, match="identity has no parameter"):
        build_activation("identity", args=1)
    with pytest.raises(SettingsError, match="one bias a feature"):
        build_activation("mod_relu")
    with pytest.raises(SettingsError, match="per_feature"):
        build_activation("prelu", per_feature=True)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.ReLU(inplace=True), "relu"),
        (SubgradientReLU(), "relu"),
        (Swish(2.0), "silu"),
        (PerFeaturePReLU(2), "prelu"),
        (nn.Threshold(0.3, 0.0), "thresholded_relu"),
        (nn.Threshold(0.3, 1.0), None),
        (nn.Hardtanh(), None),
        (nn.Linear(1, 1), None),
    ],
)
def test_activation_of_knows_what_is_in_the_catalogue(module, name):
    found = activation_of(module)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("module", "edge"),
    [
        (nn.ReLU(), 0.0),
        (nn.Hardswish(), -3.0),
        (ThresholdedReLU(2.5), 2.5),
        (nn.Threshold(-1.0, -1.0), -1.0),
        (nn.LeakyReLU(), None),
        (nn.LeakyReLU(0.0), 0.0),
        (nn.Tanh(), None),
        (nn.Linear(1, 1), None),
    ],
)
def test_firing_threshold_is_that_of_the_module_itself(module, edge):
    assert firing_threshold(module) == edge
    if edge is not None:
        x = torch.tensor([edge - 1, edge], requires_grad=True)
        module(x).sum().backward()
        assert x.grad.tolist() == [0, 0]


def test_input_features_follow_inputs_per_output():
    wanted = {"relu": 6, "glu": 12, "maxout": 12, "concatenated_relu": 3}
    assert {name: get_activation(name).input_features(6) for name in wanted} == wanted
