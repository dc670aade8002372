"""A layer is found by the names that findings use."""

import pytest
import torch
from torch import nn

from relume.remedies.patient import Patient, Sample


class Called(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.fc2 = nn.Linear(4, 1)
        self.memory = nn.RNN(3, 2)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


@pytest.mark.parametrize(
    "where", ["fc1", "fc1.weight", "relu(fc1)", "relu(fc1)#2", "relu(fc1) (some/train.py:12)"]
)
def test_an_activation_called_as_a_function_is_found_by_what_feeds_it(where):
    model = Called()
    place = Patient(model).find(where)
    assert place.owner is model.fc1
    assert place.activation is None


def test_modules_of_activations_lead_to_their_layers_and_back():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())
    patient = Patient(model)
    assert patient.find("2 (train.py:3)").owner is model[0]
    assert patient.find("0.bias").activation is model[2]
    assert patient.find("1").module is model[1]


def test_weights_of_recurrent_layers_belong_to_their_layer():
    model = Called()
    assert Patient(model).find("memory.weight_hh_l0").module is model.memory


@pytest.mark.parametrize("where", [None, "fc9", "relu in train.py:3", "the loss", "relu(fc9)"])
def test_what_the_model_does_not_have_is_not_found(where):
    assert Patient(Called()).find(where) is None


def test_wrappers_leave_no_trace_in_names():
    model = nn.DataParallel(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    assert Patient(model).find("1").activation is model.module[1]


def test_a_shared_module_is_replaced_everywhere():
    shared = nn.ReLU()
    model = nn.Sequential(nn.Linear(2, 2), shared, nn.Sequential(nn.Linear(2, 2), shared))
    other = nn.Tanh()
    Patient(model).replace(shared, other)
    assert model[1] is other
    assert model[2][1] is other


def test_new_parameters_join_the_group_of_their_neighbour():
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(
        [{"params": [layer.weight], "lr": 0.1}, {"params": [layer.bias], "lr": 0.2}]
    )
    new = nn.Parameter(torch.ones(1))
    Patient(layer, (optimizer,)).adopt([new], beside=layer.weight)
    assert optimizer.param_groups[0]["params"][-1] is new


def test_batches_of_loaders_go_into_models_as_they_are_made_for():
    x = torch.ones(2)
    assert Sample.of((x, 1)).args[0] is x
    assert Sample.of(x).args[0] is x
    assert Sample.of({"x": x}).kwargs["x"] is x
