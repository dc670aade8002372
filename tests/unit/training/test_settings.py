import dataclasses
import re

import pytest
import typer
from typer.testing import CliRunner

from relume.errors import SettingsError, UnknownNameError
from relume.training.settings import FitSettings, read_config


def test_settings_survive_json():
    settings = FitSettings(hidden=(3, 4), drop=("a",), target="y", epochs=5)
    assert FitSettings.from_mapping(settings.to_json()) == settings


def test_dashes_single_values_and_whole_numbers_are_taken():
    settings = FitSettings.from_mapping({"batch-size": 4, "drop": "a", "hidden": 7, "lr": 1})
    assert (settings.batch_size, settings.drop, settings.hidden) == (4, ("a",), (7,))
    assert settings.lr == 1.0
    assert isinstance(settings.lr, float)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": 0}, "lr must be above 0; got 0"),
        ({"lr": float("nan")}, "lr must be above 0; got nan"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; got 1.0"),
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"hidden": [8, 0]}, "hidden must be widths of at least 1; got (8, 0)"),
        ({"hidden": []}, "hidden must be widths of at least 1"),
        ({"test_fraction": 0.95}, "test_fraction must lie between 0 and 0.9; got 0.95"),
        ({"seed": -1}, "seed must be at least 0; got -1"),
        ({"epochs": "ten"}, "epochs in the settings must be int; got 'ten'"),
        ({"epochs": True}, "epochs in the settings must be int; got True"),
        ({"drop": [1]}, "drop in the settings must be list of str; got [1]"),
        ({"lr": "fast"}, "lr in the settings must be float; got 'fast'"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_allowed(given, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        FitSettings.from_mapping(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"activaton": "relu"}, "unknown option in the settings 'activaton'; did you mean activ"),
        ({"network": "mpl"}, "unknown network 'mpl'; did you mean mlp"),
        ({"norm": "bach"}, "unknown norm 'bach'; did you mean batch"),
        ({"task": "regresion"}, "did you mean regression"),
    ],
)
def test_unknown_names_offer_the_nearest(given, message):
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        FitSettings.from_mapping(given)


def test_a_file_of_settings(tmp_path):
    path = tmp_path / "fit.toml"
    path.write_text("lr = 0.01\nhidden = [8, 4]\nbatch-size = 16\n")
    settings = FitSettings.from_mapping(read_config(path), str(path))
    assert (settings.lr, settings.hidden, settings.batch_size) == (0.01, (8, 4), 16)


@pytest.mark.parametrize("content", [b"lr = \n", b"\xff\xfe", None])
def test_a_file_that_is_not_toml(tmp_path, content):
    path = tmp_path / "fit.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"fit\.toml"):
        read_config(path)


def test_every_setting_is_an_option_and_its_help_tells_the_default():
    from relume.cli import build_app

    command = typer.main.get_command(build_app()).commands["fit"]
    options = {parameter.name: parameter for parameter in command.params}
    for field in dataclasses.fields(FitSettings):
        text = options[field.name].help
        shown = re.search(r"\[([^\[\]]*)\]$", text)
        if isinstance(field.default, int | float | str):
            assert shown, f"{field.name}: {text}"
            default = "on" if field.default is True else str(field.default)
            assert shown[1] in {default, default.removeprefix("0")}, text
        else:
            assert field.default is None or field.default == (), field.name
    assert CliRunner().invoke(build_app(), ["fit", "--help"]).exit_code == 0


def test_a_task_for_each_of_several_targets():
    assert FitSettings().tasks == ()
    several = FitSettings(task="classification, regression")
    assert several.tasks == ("classification", "regression")
    with pytest.raises(UnknownNameError, match="unknown task 'regresion'; did you mean regression"):
        FitSettings(task="classification,regresion")


def test_what_only_an_autoencoder_has_and_has_not():
    with pytest.raises(SettingsError, match="code 3 is for --network autoencoder"):
        FitSettings(code=3)
    with pytest.raises(SettingsError, match="code must be at least 1; got 0"):
        FitSettings(network="autoencoder", code=0)
    with pytest.raises(SettingsError, match="an autoencoder predicts no target"):
        FitSettings(network="autoencoder", task="regression")
