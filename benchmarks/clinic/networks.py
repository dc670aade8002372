"""The networks of the clinic by name, and what a person changes in a fresh one."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from benchmarks.clinic import networks_dense as dense
from benchmarks.clinic import networks_generative as generative
from benchmarks.clinic import networks_signals as signals
from benchmarks.clinic import networks_special as special
from benchmarks.clinic import networks_stacks as stacks
from benchmarks.clinic.recipe import Edit, Option

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "functional": dense.Functional,
    "tower": dense.Tower,
    "tanh_net": dense.TanhNet,
    "bn_tower": dense.BatchNormTower,
    "residual": special.Residual,
    "gelu": special.GeluNet,
    "prelu_net": special.PReluNet,
    "selu_net": special.SeluNet,
    "bn_cnn": special.BatchNormCnn,
    "elman": special.Elman,
    "gru": special.Gru,
    "autoencoder": generative.Autoencoder,
    "vae": generative.Vae,
    "gan": generative.Gan,
    "listed": dense.Listed,
    "squashed": dense.Squashed,
    "dropped": dense.Dropped,
    "blocked": dense.Blocked,
    "dense_skip": special.DenseSkip,
    "leaky": special.LeakyNet,
    "sliding": special.Sliding,
    "selu_stack": special.SeluStack,
    "strided_cnn": special.StridedCnn,
    "plain_rnn": special.PlainRnn,
    "lstm": special.Lstm,
    "encoder": special.Encoder,
    "tied": generative.Tied,
    "deep_vae": generative.DeepVae,
    "small_gan": generative.SmallGan,
    "funnel": stacks.Funnel,
    "in_place": stacks.InPlace,
    "logistic": stacks.Logistic,
    "shared": stacks.Shared,
    "after_norm": stacks.AfterNorm,
    "swish": stacks.Swish,
    "sloped": stacks.Sloped,
    "selu_taper": stacks.SeluTaper,
    "lenet": signals.LeNet,
    "residual_cnn": signals.ResidualCnn,
    "time_cnn": signals.TimeCnn,
    "stacked_rnn": signals.StackedRnn,
    "cell_rnn": signals.CellRnn,
    "two_lstms": signals.TwoLstms,
    "both_ways": signals.BothWays,
    "attention": signals.Attention,
    "deep_autoencoder": signals.DeepAutoencoder,
    "wide_vae": signals.WideVae,
    "leaky_gan": signals.LeakyGan,
}

REBUILDING = ("autoencoder", "vae", "tied", "deep_vae", "deep_autoencoder", "wide_vae")
OF_THE_LOSS = ("beta",)
"""Options that are no argument of a network."""


def build(name: str, x: Tensor, outputs: int, options: Mapping[str, Option]) -> nn.Module:
    """Return a fresh network for inputs like these.

    Raises:
        TypeError: If it has no such option.
    """
    given = {key: value for key, value in options.items() if key not in OF_THE_LOSS}
    outputs = int(given.pop("outputs", outputs))
    inputs = x.shape[-1] if x.ndim == 3 else x[0].numel()
    return NETWORKS[name](inputs, outputs, **given)


def trunk_of(model: nn.Module) -> list[nn.Parameter]:
    """Return all weights but those of the last layer."""
    last = {id(weight) for weight in model.out.parameters()}
    return [weight for weight in model.parameters() if id(weight) not in last]


def hidden_of(model: nn.Module) -> list[nn.Module]:
    """Return the linear and convolutional layers but the last, in order."""
    return [
        module for module in model.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module is not getattr(model, "out", None)
    ]  # fmt: skip


def _head_times(model: nn.Module, size: float) -> None:
    for weight in model.out.parameters():
        weight.mul_(size)


def _bias_of_half(model: nn.Module, size: float) -> None:
    for layer in hidden_of(model):
        layer.bias[: len(layer.bias) // 2] = size


def _bias_of_a_layer(model: nn.Module, size: float) -> None:
    hidden_of(model)[-1].bias.fill_(size)


def _bias_of_all(model: nn.Module, size: float) -> None:
    for layer in hidden_of(model):
        layer.bias.fill_(size)


def _rows_times(share: float) -> Callable[[nn.Module, float], None]:
    def edit(model: nn.Module, size: float) -> None:
        for layer in hidden_of(model):
            count = round(share * len(layer.bias))
            layer.weight[:count] *= size
            layer.bias[:count] *= size

    return edit


def _all_times(model: nn.Module, size: float) -> None:
    for layer in hidden_of(model):
        layer.weight.mul_(size)


def _constant(model: nn.Module, size: float) -> None:
    for layer in [*hidden_of(model), model.out]:
        layer.weight.fill_(size)
        layer.bias.zero_()


def _bias_of_latents(model: nn.Module, size: float) -> None:
    if hasattr(model, "latent"):  # a variational one is switched off by its loss
        model.latent.bias.fill_(size)


def _slopes(model: nn.Module, size: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.PReLU):
            module.weight.fill_(size)


def _recurrent_times(model: nn.Module, size: float) -> None:
    for name, weight in model.named_parameters():
        if "weight_hh" in name:
            weight.mul_(size)


def _biases_zero(model: nn.Module, _: float) -> None:
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            weight.zero_()


def _he(model: nn.Module, _: float) -> None:
    for layer in hidden_of(model):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)


def _orthogonal(model: nn.Module, _: float) -> None:
    for layer in hidden_of(model):
        nn.init.orthogonal_(layer.weight, gain=nn.init.calculate_gain("relu"))


WEIGHT_EDITS: Mapping[str, Callable[[nn.Module, float], None]] = {
    "head times": _head_times,
    "bias of half": _bias_of_half,
    "bias of a layer": _bias_of_a_layer,
    "bias of all": _bias_of_all,
    "half times": _rows_times(0.5),
    "most times": _rows_times(0.9),
    "all times": _all_times,
    "constant": _constant,
    "bias of latents": _bias_of_latents,
    "slopes": _slopes,
    "recurrent times": _recurrent_times,
    "biases zero": _biases_zero,
    "he": _he,
    "orthogonal": _orthogonal,
}


@torch.no_grad()
def edit_weights(model: nn.Module, edits: tuple[Edit, ...]) -> None:
    """Change the weights of a fresh network, in order."""
    for name, size in edits:
        WEIGHT_EDITS[name](model, size)
