"""Names of Keras layers, on stand-ins: the real ones are trained in the tests of the adapters."""

import torch
from torch import nn

from relume.observe.calls import is_inner_file
from relume.observe.naming import Names, keras_layer_called

CALL = """
class Layer:
    name = "conv2d"

    def call(self, ask):
        return ask()
"""


class Model(nn.Module):
    def __init__(self, path):
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(2, 2))
        self._functional = nn.Module()
        self._functional._torch_params = nn.ParameterDict({path: self.kernel})
        del self.kernel


def test_weights_have_the_name_of_their_layer():
    model, other = Model("sequential/hidden/kernel"), Model("net/block/dense_1/kernel")
    names = Names(model)
    names.learn(other)
    assert names.of_weights(model.parameters()) == "hidden"
    assert names.of_weights(other.parameters()) == "Model#2.block.dense_1"


def test_where_weights_do_not_tell_the_layer_that_is_called_does():
    space = {}
    exec(compile(CALL, "/env/keras/src/layers/convolutional/conv.py", "exec"), space)  # noqa: S102
    assert space["Layer"]().call(keras_layer_called) == "conv2d"
    assert keras_layer_called() is None


def test_a_line_of_keras_is_nobodys_place():
    assert is_inner_file("/env/site-packages/keras/src/backend/torch/nn.py")
    assert not is_inner_file("/home/me/keras_model.py")
