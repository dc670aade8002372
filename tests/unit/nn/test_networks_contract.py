"""What holds of every network under every activation of the catalogue."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from relume.errors import SettingsError, UnknownNameError
from relume.nn.following import LAYERS
from relume.nn.networks import NETWORKS, build_network, get_network, network_names
from relume.nn.registry import activation_names, activation_of

# The arguments of a small network of each kind (odd widths on purpose), and an input's shape.
SMALL = {
    "mlp": ({"inputs": 6, "hidden": [9, 8], "outputs": {"label": 3, "angle": 1}}, (5, 6)),
    "cnn": (
        {"channels_in": 2, "image_size": [5, 7], "outputs": 3, "channels": [4, 5], "hidden": [6]},
        (5, 2, 5, 7),
    ),
    "resnet": (
        {"channels_in": 2, "outputs": 3, "channels": [4, 5], "blocks": 1},
        (5, 2, 6, 6),
    ),
    "rnn": ({"features": 3, "hidden": 7, "outputs": 2, "layers": 2}, (5, 4, 3)),
    "transformer": (
        {"features": 3, "outputs": 2, "width": 8, "depth": 2, "feedforward": 9},
        (5, 4, 3),
    ),
    "reader": (
        {
            "features": 2,
            "texts": [[7, 4], [5, 3]],
            "outputs": {"label": 3, "angle": 1},
            "encoder": "transformer",
            "hidden": [9],
            "width": 8,
            "feedforward": 9,
        },
        (5, 9),
    ),
    "autoencoder": ({"inputs": 6, "hidden": [9], "code": 3}, (5, 6)),
    "gan": ({"latent": 4, "outputs": 6, "hidden": [9, 8]}, (5, 4)),
}
EVERY = [(network, activation) for network in SMALL for activation in activation_names()]


def small(network, activation, seed=0):
    arguments, shape = SMALL[network]
    torch.manual_seed(seed)
    model = build_network(network, json.loads(json.dumps({**arguments, "activation": activation})))
    return model, inputs_of(network, shape)


def inputs_of(network, shape):
    x = torch.randn(shape)
    if network == "reader":  # behind two features the numbers of words
        x[:, 2:] = torch.randint(5, (5, 7))
    return x


def outputs_of(model, x):
    out = model(x)
    return out if isinstance(out, dict) else {"": out}


def test_every_network_is_in_the_contract():
    assert set(SMALL) == set(network_names())


@pytest.mark.parametrize(("network", "activation"), EVERY)
def test_trains(network, activation):
    model, x = small(network, activation)
    wanted = SMALL[network][0].get("outputs")
    model.train()
    outputs = outputs_of(model, x)
    loss = sum(out.square().mean() + out.mean() for out in outputs.values())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert any(parameter.grad.abs().max() > 0 for parameter in model.parameters())
    assert all(out.isfinite().all() and len(out) == len(x) for out in outputs.values())
    if isinstance(wanted, dict):
        assert {name: out.shape[1] for name, out in outputs.items()} == wanted
    else:
        assert outputs[""].shape[1] == {"autoencoder": 6, "gan": 1}.get(network, wanted)


@pytest.mark.parametrize(("network", "activation"), EVERY)
def test_is_saved_and_read_back(network, activation, tmp_path):
    model, x = small(network, activation)
    model.train()
    model(x)  # so that running statistics are worth saving
    model.eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    again, _ = small(network, activation, seed=1)
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    again.eval()
    before, after = outputs_of(model, x), outputs_of(again, x)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("network", "activation"), EVERY)
def test_the_seed_decides_everything(network, activation):
    runs = []
    for _ in range(2):
        model, x = small(network, activation, seed=3)
        model.train()
        runs.append([*outputs_of(model, x).values(), *model.state_dict().values()])
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


@pytest.mark.parametrize(("network", "activation"), EVERY)
def test_activations_have_readable_names_of_their_own(network, activation):
    model, _ = small(network, activation)
    named = [
        name
        for name, module in model.named_modules(remove_duplicate=False)
        if activation_of(module) is not None
    ]
    assert all(name.removesuffix(".complex").rpartition(".")[2] == "activation" for name in named)
    modules = [model.get_submodule(name) for name in named]
    assert len(set(modules)) == len(modules)
    assert named or isinstance(model.recurrent, nn.RNN)


@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("activation", ["elu", "glu", "mod_relu", "concatenated_relu"])
def test_modules_are_registered_in_the_order_in_which_they_run(network, activation):
    model, x = small(network, activation)
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, LAYERS) or activation_of(module) is not None
    ]
    ran = []
    for name in names:
        hook = lambda module, args, out, name=name: ran.append(name)  # noqa: E731
        model.get_submodule(name).register_forward_hook(hook)
    model(x)
    assert list(dict.fromkeys(ran)) == names  # a recurrent activation runs at every step


@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("init", ["lecun", "he_uniform_fan_out", "orthogonal", "glorot"])
def test_every_scheme_starts_every_network(network, init):
    arguments, shape = SMALL[network]
    torch.manual_seed(0)
    model = build_network(network, {**arguments, "init": init})
    assert all(
        out.isfinite().all() for out in outputs_of(model, inputs_of(network, shape)).values()
    )
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2].startswith("bias"):
            assert not parameter.any(), name


@pytest.mark.parametrize("network", SMALL)
def test_unknown_names_are_refused(network):
    arguments, _ = SMALL[network]
    with pytest.raises(UnknownNameError, match="unknown activation 'rellu'; did you mean relu"):
        build_network(network, {**arguments, "activation": "rellu"})
    with pytest.raises(UnknownNameError, match="unknown initialisation 'hee'; did you mean he"):
        build_network(network, {**arguments, "init": "hee"})
    with pytest.raises(SettingsError, match="activation must be a name of the catalogue; got 3"):
        build_network(network, {**arguments, "activation": 3})
    with pytest.raises(SettingsError, match="elu has no parameter 'beta'; it takes"):
        build_network(
            network, {**arguments, "activation": "elu", "activation_parameters": {"beta": 1}}
        )
    with pytest.raises(SettingsError, match="alpha of elu must be a number; got 'big'"):
        build_network(
            network, {**arguments, "activation": "elu", "activation_parameters": {"alpha": "big"}}
        )


@pytest.mark.parametrize("network", SMALL)
def test_arguments_are_named(network):
    arguments, _ = SMALL[network]
    with pytest.raises(SettingsError, match="has no argument 'actvation'; did you mean activation"):
        build_network(network, {**arguments, "actvation": "relu"})
    with pytest.raises(SettingsError, match=f"network {network} needs"):
        build_network(network, {})
    with pytest.raises(SettingsError, match="must be a mapping; got \\[\\]"):
        build_network(network, [])


def test_unknown_network():
    with pytest.raises(UnknownNameError, match="unknown network 'mpl'; did you mean mlp"):
        get_network("mpl")
    with pytest.raises(UnknownNameError, match="unknown network '3'"):
        get_network(3)


def test_a_network_names_its_arguments():
    assert NETWORKS[0].arguments()[:3] == ("inputs", "hidden", "outputs")
    assert all("init" in network.arguments() for network in NETWORKS)
