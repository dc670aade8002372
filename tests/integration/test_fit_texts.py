"""Texts as a person has them: a CSV file of real sentences, through the real command."""

import json
import re
from pydoc_data.topics import topics

import polars as pl
import pytest
from safetensors.torch import load_file

from relume.errors import UserError
from relume.training import fit as fitting
from relume.training.fit import fit
from tests.integration.command_line import relume
from tests.unit.training.test_fit import StopAt

SUBJECTS = {
    "texts": ("string-methods", "formatstrings", "strings"),
    "classes": ("specialnames", "customization", "class"),
}


def sentences():
    """Sentences of Python's own help on texts and on classes, with their length."""
    rows = []
    for subject, names in SUBJECTS.items():
        whole = " ".join(topics[name] for name in names)
        for sentence in re.split(r"(?<=[.:])\s+(?=[A-Z])", whole):
            line = " ".join(sentence.split())
            if len(line) > 40:
                rows.append((line, len(line), subject))
    frame = pl.DataFrame(rows, schema=["sentence", "length", "subject"], orient="row")
    return frame.unique("sentence", maintain_order=True)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    sentences().write_csv(folder / "help.csv")
    done = relume("fit", "help.csv", "--target", "subject", "--epochs", 8, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_two_subjects_are_told_apart_and_new_sentences_too(fitted):
    folder, described = fitted
    assert described["result"]["score"] > 0.75
    rivals = {each["name"]: each["score"] for each in described["result"]["baselines"]}
    assert rivals["logistic regression on bag of words"] > 0.75 > rivals["majority class"]
    assert any("column 'sentence' read as text" in note for note in described["notes"])
    assert (
        "network bag: the data are a table with texts; --network names another"
        in (described["notes"])
    )
    new = pl.DataFrame(
        {
            "sentence": [
                "Return a copy of the string with all uppercase characters replaced.",
                "Called to create a new instance of the class by its metaclass.",
                None,
            ],
            "length": [60, 60, None],
        }
    )
    new.write_csv(folder / "new.csv")
    done = relume("predict", "relume-help", "new.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = pl.read_csv(folder / "new-predictions.csv")["prediction"].to_list()
    assert found[:2] == ["texts", "classes"]
    assert len(found) == 3
    assert "hidden.0.activation" in (folder / "relume-help" / "report.html").read_text()


def test_a_damaged_vocabulary_is_refused_in_one_line(fitted):
    folder, _ = fitted
    path = folder / "relume-help" / "model" / "model.json"
    whole = path.read_text(encoding="utf-8")
    data = json.loads(whole)
    del data["preprocessing"]["columns"][-1]["words"][-1]
    path.write_text(json.dumps(data), encoding="utf-8")
    done = relume("predict", "relume-help", "help.csv", "--overwrite", cwd=folder)
    path.write_text(whole, encoding="utf-8")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.endswith("is damaged: its network reads other texts than its columns have")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "mlp", "text": "sentence"}, "--network mlp reads no text, but --text"),
        ({"network": "cnn"}, "--network cnn wants images; table is a table: use mlp"),
        ({"network": "rnn", "drop": "sentence"}, "--network rnn wants sequences or texts"),
        ({"text": "sentense"}, "there is no column 'sentense'; did you mean 'sentence'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, options, message):
    with pytest.raises(UserError, match=message) as caught:
        fit(sentences(), target="subject", out=tmp_path / "none", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "none").exists()


def test_an_mlp_leaves_the_texts_out_and_says_so(tmp_path):
    result = fit(sentences(), target="subject", network="mlp", epochs=1, out=tmp_path)
    assert result.model.preprocessing.features == ("length",)
    assert any(note.startswith("dropped column 'sentence': text, which") for note in result.notes)


@pytest.mark.parametrize("network", ["transformer", "rnn"])
def test_the_other_readers_train_and_are_watched(tmp_path, network):
    result = fit(
        sentences()[::4], target="subject", network=network, epochs=1, every=2, out=tmp_path
    )
    names = [layer.name for layer in result.run.layers]
    inside = {
        "transformer": "encoders.0.blocks.0.feedforward.activation",
        "rnn": "encoders.0.recurrent",
    }
    assert names == [inside[network], "hidden.0.activation"]
    assert result.run.examination[0].fired.any()


def test_an_amount_is_learnt_from_texts(tmp_path):
    said = pl.col("sentence").str.to_lowercase()
    amount = said.str.contains("string") * 2.0 - said.str.contains("class") + pl.col("length") / 1e4
    frame = sentences().with_columns(amount=amount)
    options = {"target": "amount", "drop": ("subject",)}
    result = fit(frame, epochs=10, out=tmp_path, **options)
    assert result.verdict.metric == "r2"
    assert result.verdict.score.value > 0.4
    rivals = [each.name for each in result.verdict.comparisons]
    assert rivals == ["mean of training", "ridge regression on bag of words"]
    assert result.model.preprocessing.texts


def test_an_interrupted_fit_on_texts_resumes_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_INTERVAL_S", 0.0)
    frame, options = sentences()[::4], {"target": "subject", "epochs": 4}
    whole = fit(frame, out=tmp_path / "whole", **options)
    cut = fit(frame, out=tmp_path / "cut", audience=StopAt(13), **options)
    assert cut.status == "interrupted"
    again = fit(frame, resume=tmp_path / "cut")
    first, second = (
        load_file(result.folder / "model" / "weights.safetensors") for result in (whole, again)
    )
    assert all(first[name].equal(second[name]) for name in first)
