"""Columns of text: what a word is, which words are learnt, and how texts become numbers."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from relume.errors import DataError, ModelFormatError
from relume.training.data import text as texts
from relume.training.data.prepare import DataOptions, Preprocessing, prepare
from relume.training.data.text import WORD, TextColumn, word_splitter

RNG = np.random.default_rng(0)
ADJECTIVES = ["small", "large", "wonderful", "terrible", "ordinary", "splendid"]
NOUNS = ["house", "garden", "engine", "orchestra", "library", "mountain"]


def prose(rows):
    """Sentences of more than thirty characters, all different."""
    return [
        f"The {RNG.choice(ADJECTIVES)} {RNG.choice(NOUNS)} and its {RNG.choice(ADJECTIVES)} "
        f"{RNG.choice(NOUNS)}, as seen in picture number{'s' * (row % 2)} {row}."
        for row in range(rows)
    ]


def table(rows=60, **columns):
    base = {"size": RNG.normal(size=rows), "review": prose(rows), "y": ["a", "b"] * (rows // 2)}
    return pl.DataFrame(base | columns)


def encoded(column, *cells):
    out = np.zeros((len(cells), column.steps), np.float32)
    column.encode(pl.Series(column.name, cells, dtype=pl.String), out)
    return out.tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't: 3 a-b C++", ["i", "don't", "3", "a", "b", "c"]),
        ("'quoted' “words” rock’n’roll’", ["quoted", "words", "rock’n’roll"]),
        ("Wow! Really?? 5% off_now", ["wow", "!", "really", "?", "?", "5", "off", "now"]),
        ("Größe ÉTÉ Привет мир", ["größe", "été", "привет", "мир"]),
        ("हिन्दी में। مرحبا، كيف؟", ["हिन्दी", "में", "مرحبا", "كيف"]),
        ("日本語、です 😀", ["日本語", "です", "😀"]),
        (" \t\n.,;-", []),
    ],
)
def test_words(text, words):
    assert word_splitter()(text) == words


def test_the_vocabulary_is_the_words_of_two_rows_the_most_frequent_first():
    cells = pl.Series("t", ["b a once once", "a B", None, "", "a c c c", "c a x"])
    column = TextColumn.fit(cells)
    assert column.words == ("a", "b", "c")
    assert column.vocabulary == 5
    assert column.features == ("t word 1", "t word 2", "t word 3", "t word 4")
    assert encoded(column, "C zebra a", None, "a b c a b c", " ") == [
        [4, 1, 2, 0], [0, 0, 0, 0], [2, 3, 4, 2], [0, 0, 0, 0],
    ]  # fmt: skip


def test_counts_agree_with_scikit_learn():
    cells = pl.Series("t", prose(80))
    column = TextColumn.fit(cells)
    peer = CountVectorizer(token_pattern=WORD, vocabulary=list(column.words))
    ids = np.array(encoded(column, *cells)).astype(int)
    counts = np.stack([np.bincount(row, minlength=column.vocabulary)[2:] for row in ids])
    np.testing.assert_array_equal(counts, peer.transform(cells.to_list()).toarray())
    frequent = CountVectorizer(token_pattern=WORD, min_df=2).fit(cells.to_list())
    assert set(column.words) == set(frequent.vocabulary_)


def test_the_most_frequent_words_and_the_first_steps_are_kept(monkeypatch):
    monkeypatch.setattr(texts, "MOST_WORDS", 2)
    monkeypatch.setattr(texts, "MOST_STEPS", 3)
    column = TextColumn.fit(pl.Series("t", ["a b c d e", "a b c d e", "a b z z z"]))
    assert (column.words, column.steps) == (("a", "b"), 3)
    assert encoded(column, "c b a a a") == [[1, 3, 2]]


def test_one_long_text_in_a_hundred_does_not_stretch_the_others():
    column = TextColumn.fit(pl.Series("t", ["a b c"] * 99 + ["a " * 1000]))
    assert column.steps == 3


def test_prose_is_read_and_stands_behind_the_features():
    data = prepare(table(colour=["red", "blue", "red"] * 20), DataOptions(target="y"))
    fitted = data.preprocessing
    assert [column.reading.name for column in fitted.columns] == ["size", "colour", "review"]
    (column,) = fitted.texts
    assert fitted.features[3:] == column.features
    assert data.train.x[:, 3:].max() == column.vocabulary - 1
    known = f"column 'review' read as text: {len(column.words)} words known, "
    assert known + f"the first {column.steps} words of a row" in data.notes
    used = "columns used: 1 number ('size'); 1 category ('colour'); 1 text ('review')"
    assert f"{used}; 3 features and {column.steps} words in all" in data.notes
    assert str(data.form) == "a table with texts"


def test_cut_texts_are_counted():
    long = [f"{text} {'and on ' * 20}" if i < 5 else text for i, text in enumerate(prose(200))]
    data = prepare(table(200, review=long), DataOptions(target="y"))
    cut = sum(int(row) < 5 for row in data.train.rows)
    assert any(
        note.endswith(f"{cut} of 140 training rows are longer and cut") for note in data.notes
    )


@pytest.mark.parametrize(
    ("values", "options", "kind"),
    [
        (lambda n: [f"Ms Jane Doe {i}" for i in range(n)], {}, None),
        (lambda n: [f"Ms Jane Doe {i}" for i in range(n)], {"text": ("x",)}, "text"),
        (lambda n: [i % 3 for i in range(n)], {"text": ("x",)}, "text"),
        (lambda n: [f"{i:064x}" for i in range(n)], {}, None),
        (prose, {"categorical": ("x",)}, "category"),
        (prose, {"drop": ("x",)}, None),
        (prose, {"read_texts": False}, None),
        (lambda n: (prose(n // 3) * 3)[:n], {"categorical": ("x",)}, "category"),
    ],
)
def test_what_is_text(values, options, kind):
    frame = table(x=values(60)).drop("review")
    if options.get("categorical") and frame["x"].n_unique() == 60:
        frame = frame.with_columns(x=pl.concat([frame["x"][:30]] * 2))
    fitted = prepare(frame, DataOptions(target="y", **options)).preprocessing
    kinds = {column.reading.name: str(column.reading.kind) for column in fitted.columns}
    assert kinds.get("x") == kind


def test_what_is_left_out_says_how_to_read_it():
    names = [f"Ms Jane Doe {i}" for i in range(60)]
    notes = prepare(table(x=names), DataOptions(target="y")).notes
    assert (
        "dropped column 'x': text, which --network bag, transformer or rnn reads if it is long or "
        "named in --text"
    ) in notes


def test_a_text_without_any_word_of_two_rows_is_left_out():
    alone = [f"w{i}" for i in range(60)]
    data = prepare(table(x=alone), DataOptions(target="y", text=("x",)))
    assert "dropped column 'x': no value stands in enough rows to learn from" in data.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ("revew",)}, "--text: there is no column 'revew'; did you mean 'review'?"),
        ({"text": ("y",)}, "--text 'y': this column is the target"),
        ({"text": ("size",), "drop": ("size",)}, "--text 'size': this column is dropped"),
        (
            {"text": ("size",), "categorical": ("size",)},
            "column 'size' is in --categorical and in --text; choose one",
        ),
    ],
)
def test_options_that_contradict(options, message):
    with pytest.raises(DataError, match=message.replace("?", "\\?")):
        prepare(table(), DataOptions(target="y", **options))


@pytest.fixture(scope="module")
def fitted():
    return prepare(table(), DataOptions(target="y")).preprocessing


def test_json_gives_the_same_back(fitted):
    data = json.loads(json.dumps(fitted.to_json(), allow_nan=False))
    assert Preprocessing.from_json(data) == fitted
    new = pl.DataFrame({"size": [1.0, 2.0], "review": ["The splendid engine, unseen!", None]})
    np.testing.assert_array_equal(
        Preprocessing.from_json(data).transform(new), fitted.transform(new)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "'steps' must be a whole number from 1 to 256, not '0'"),
        ({"steps": 2.0}, "'steps' must be a whole number"),
        ({"steps": True}, "'steps' must be a whole number"),
        ({"words": []}, "'words' must have at least 1 items"),
        ({"words": ["a", "a"]}, "must not name anything twice"),
        ({"words": ["a", 1]}, "'words'[1] must be a text"),
        ({"words": [str(i) for i in range(10_001)]}, "at most 10000 items"),
        ({"more": 1}, "field 'more' is not known"),
    ],
)
def test_damaged_json_of_a_text_is_refused(fitted, change, message):
    data = fitted.to_json()
    data["columns"][-1] |= change
    with pytest.raises(ModelFormatError) as caught:
        Preprocessing.from_json(data)
    assert message in str(caught.value)


def test_texts_before_features_are_refused(fitted):
    data = fitted.to_json()
    data["columns"].reverse()
    with pytest.raises(ModelFormatError, match="must stand behind all others"):
        Preprocessing.from_json(data)
