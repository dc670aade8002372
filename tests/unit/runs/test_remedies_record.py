"""What was done about findings is kept in the run file, and older files have none of it."""

import math
import sqlite3
from contextlib import closing

import pytest

from relume.errors import RunFileError
from relume.runs.query import read_run
from relume.runs.records import Moments, Window
from relume.runs.remedies import AppliedRemedy
from relume.runs.store import RunWriter

APPLIED = AppliedRemedy(
    step=40,
    action="revive_units",
    plan={"where": "hidden.1", "units": [1, 5], "numbers": {"seed": 40}},
    evidence={"code": "RLM101", "evidence": {"share": 0.25, "ratio": math.inf}},
)
JUDGED = AppliedRemedy(
    step=40,
    action="revive_units",
    plan=APPLIED.plan,
    evidence=APPLIED.evidence,
    verdict="validation loss is better: 2 → 1, gain 1 (95 % interval 0.5 to 1.5, 9 rows); kept",
    gain=1.0,
    low=0.5,
    high=math.inf,
    is_kept=True,
)


def test_an_application_is_written_and_its_verdict_later(tmp_path):
    path = tmp_path / "run.sqlite"
    with closing(RunWriter(path)) as writer:
        number = writer.write_remedy(APPLIED)
        other = writer.write_remedy(AppliedRemedy(step=50, action="lower_rate"))
        assert math.isnan(read_run(path).remedies[0].gain)
        assert read_run(path).remedies[0].is_kept is None
        writer.write_remedy(JUDGED, number)
    assert other != number
    first, second = read_run(path).remedies
    assert first.gain == 1.0
    assert (first.low, first.high, first.is_kept) == (0.5, math.inf, True)
    assert first.verdict == JUDGED.verdict
    assert first.plan == APPLIED.plan
    assert first.evidence["evidence"] == {"share": 0.25, "ratio": "inf"}
    assert (second.action, second.verdict) == ("lower_rate", "")


def test_a_resumed_run_forgets_what_was_done_after_its_checkpoint(tmp_path):
    path = tmp_path / "run.sqlite"
    with closing(RunWriter(path)) as writer:
        for step in (10, 20):
            writer.write_remedy(AppliedRemedy(step=step, action="clip_gradients"))
    with closing(RunWriter(path, resume_after=10)) as writer:
        assert writer.write_remedy(AppliedRemedy(step=11, action="leak")) == 2
    assert [(each.step, each.action) for each in read_run(path).remedies] == [
        (10, "clip_gradients"),
        (11, "leak"),
    ]


def test_a_file_of_version_3_is_read_and_gone_on_with(tmp_path):
    path = tmp_path / "run.sqlite"
    with closing(RunWriter(path)) as writer:
        writer.write_window(Window(1, 1, 1, Moments(), 0.1, ()), [])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE remedies")
        connection.execute("PRAGMA user_version = 3")
        connection.commit()
    assert read_run(path).remedies == ()
    with closing(RunWriter(path, resume_after=1)) as writer:
        writer.write_remedy(APPLIED)
    assert len(read_run(path).remedies) == 1


@pytest.mark.parametrize("plan", ["[1]", "{", "3"])
def test_a_damaged_plan_is_said_to_be_damaged(tmp_path, plan):
    path = tmp_path / "run.sqlite"
    with closing(RunWriter(path)) as writer:
        writer.write_remedy(APPLIED)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE remedies SET plan = ?", (plan,))
        connection.commit()
    with pytest.raises(RunFileError):
        read_run(path)
