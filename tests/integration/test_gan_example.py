"""A slice of the example: short, so it shows that it learns, not how well it ends."""

import runpy
from pathlib import Path

import torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "gan_8_gaussians.py"


def test_the_gan_finds_modes_and_its_units_are_watched(tmp_path):
    example = runpy.run_path(str(EXAMPLE))
    judge, wide = example["judge"], 0.5  # a quarter of the radius
    torch.manual_seed(0)
    untrained = example["gan"](2, 2, norm=None, output="linear").generator
    assert judge(untrained)[0] < 3
    result = example["train"](0, str(tmp_path / "gan"), epochs=5)
    trained = result.model.generator
    assert judge(trained)[0] >= 6
    assert judge(trained, within=wide)[1] > 1.5 * judge(untrained, within=wide)[1]
    run = result.run
    assert run.info.status == "finished"
    assert [layer.name.split(".")[0] for layer in run.layers] == ["generator"] * 2 + [
        "discriminator"
    ] * 2
    assert run.last_step == 500
    assert {activity.rows for activity in run.examination} == {25_600, 51_200}
    assert set(run.losses[5]) == {"discriminator", "generator"}
