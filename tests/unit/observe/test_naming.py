"""Names of modules and weights."""

import pytest
import torch
from torch import nn

from relume.observe.naming import Names


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.table = nn.Parameter(torch.ones(2, 2))
        self.rnn = nn.GRU(2, 2)


def test_modules_and_weights():
    block = Block()
    names = Names(nn.Sequential(block))
    assert names.of_module(block.fc) == "0.fc"
    assert names.of_module(names.roots[0]) == names.of_module(None) == ""
    assert names.of_module(nn.ReLU()) == ""
    assert names.of_weights([block.fc.bias]) == "0.fc"
    assert names.of_weights([torch.ones(1), block.table]) == "0.table"
    assert names.of_weights([block.rnn.weight_hh_l0]) == "0.rnn"
    assert names.of_weights([torch.ones(1)]) is None


def test_further_models_begin_with_their_class():
    names, blocks = Names(), [Block(), Block(), nn.Linear(2, 2), Block()]
    for block in (*blocks, blocks[1]):
        names.learn(block)
    assert [names.of_module(block) for block in blocks] == ["", "Block#2", "Linear", "Block#3"]
    assert names.of_module(blocks[3].fc) == "Block#3.fc"
    assert names.of_weights([blocks[2].weight]) == "Linear"
    assert len(names.roots) == 4


def test_a_part_of_a_known_model_and_one_without_weights_are_none_of_their_own():
    model = nn.Sequential(Block(), nn.ReLU())
    names = Names(model)
    names.learn(model[0])
    names.learn(nn.Tanh())
    assert names.roots == (model,)


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod", "_fsdp_wrapped_module"])
def test_wrappers_leave_no_trace(wrapper):
    outer, model = nn.Module(), nn.Sequential(Block())
    setattr(outer, wrapper, model)
    assert Names(outer).of_module(model[0].fc) == "0.fc"


def test_a_name_is_given_once():
    names = Names()
    assert [names.unique(name) for name in ("a", "b", "a", "a")] == ["a", "b", "a#2", "a#3"]
