"""``relume fit`` with a rate that is far too high, as one types it."""

import json

from relume.diagnosis.engine import diagnose
from relume.diagnosis.finding import Severity
from relume.runs.query import read_run
from tests.integration.command_line import relume


def test_a_mad_rate_is_repaired_on_the_way_and_told(tmp_path):
    mad = ("fit", "digits", "--lr", "3", "--epochs", "12", "--hidden", "64,32")
    told = relume(*mad, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    for beginning in ("found after step 40: warning RLM304", "tried for 2 epochs each", "kept: "):
        assert any(line.startswith(beginning) for line in told.stdout.splitlines())
        assert any(line.startswith(beginning) for line in told.stderr.splitlines())
    run = read_run(tmp_path / "relume-digits")
    grave = [each for each in diagnose(run).findings if each.severity != Severity.NOTE]
    assert not grave  # what was repaired is not held against what came after
    assert sum(bool(each.is_kept) for each in run.remedies) >= 1
    assert run.info.result["score"] > 0.9
    assert len(run.info.result["repairs"][0]) == 3
    page = (tmp_path / "relume-digits" / "report.html").read_text(encoding="utf-8")
    assert '<section id="repairs">' in page
    shown = relume("report", "relume-digits", cwd=tmp_path)
    plain = relume(*mad, "--no-repair", "--json", "--out", "plain", cwd=tmp_path)
    result = json.loads(plain.stdout)["result"]
    assert result["repairs"] == []
    assert result["score"] < 0.5
    assert read_run(tmp_path / "plain").remedies == ()
    assert "Repairs" in shown.stdout
