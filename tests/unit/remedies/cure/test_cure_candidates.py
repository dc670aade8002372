"""Which treatments are tried for which findings, in which order, and which score decides."""

import pytest

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety, Severity
from relume.errors import SettingsError, UnknownNameError
from relume.remedies.cure.candidates import PROPOSERS, candidates
from relume.remedies.cure.case import Case
from relume.remedies.cure.score import ScoreWish, choose_score
from relume.remedies.cure.treatment import Kind, Treatment
from relume.remedies.cure.trial import Trial
from relume.runs.facts import InputFacts, LossFacts, Phase, Spread

KEY = {"function": "softmax", "place": {"file": "a.py", "line": 3}, "made": None}
OPTIMIZERS = [{"kind": "SGD", "rate": 0.1, "place": None, "step": None}]


def finding(code, *consequences, severity=Severity.WARNING, **evidence):
    return Finding(
        code=code, severity=severity, message=str(code), evidence=evidence,
        consequences=consequences,
    )  # fmt: skip


def case(*findings, **survey):
    return Case(findings, {"optimizers": OPTIMIZERS, "steps": 200, "epochs": 4} | survey)


def kinds(given, *, allows_model=True):
    return [each.kind for each in candidates(given, allows_model=allows_model)]


def loss_of(function, *functions, **more):
    head = [KEY | {"function": name} for name in functions]
    return {"function": function, "head": head} | more


@pytest.mark.parametrize(
    ("code", "loss", "kind"),
    [
        (Code.SOFTMAX_TWICE, loss_of("cross_entropy", "softmax"), Kind.SKIP),
        (
            Code.SIGMOID_TWICE,
            loss_of("binary_cross_entropy_with_logits", "sigmoid"),
            Kind.SKIP,
        ),
        (Code.RELU_ON_OUTPUT, loss_of("mse_loss", "relu"), Kind.SKIP),
        (Code.DEAD_LAYER, loss_of("binary_cross_entropy", "sigmoid", "relu"), Kind.SKIP),
        (Code.NLL_WITHOUT_LOG, loss_of("nll_loss"), Kind.LOG_SOFTMAX),
        (
            Code.BROADCAST_LOSS,
            loss_of("mse_loss", prediction_shape=[8, 1], target_shape=[8]),
            Kind.SQUEEZE,
        ),
        (Code.GRADIENTS_KEPT, {}, Kind.ZERO_GRADIENTS),
        (Code.RATE_TOO_HIGH, {}, Kind.RATE),
        (Code.TRAIN_EVAL_GAP, {}, Kind.BATCH_NORM),
        (Code.IDENTICAL_UNITS, {}, Kind.INITIALISE),
    ],
)
def test_the_first_candidate_answers_the_first_finding(code, loss, kind):
    given = Case((finding(code),), {"optimizers": OPTIMIZERS, "steps": 9, "loss": loss})
    found = candidates(given, allows_model=False)
    assert found[0].kind is kind
    assert found[0].answers == (code,)
    assert found[-1].kind is Kind.SEED


def test_what_a_loss_asks_for_is_never_taken_out():
    given = Case(
        (finding(Code.BOUNDED_LOGITS),),
        {"loss": loss_of("binary_cross_entropy", "sigmoid", "relu")},
    )
    skipped = [
        each.numbers["keys"][0]["function"] for each in candidates(given, allows_model=True)[:1]
    ]
    assert skipped == ["relu"]


def test_consequences_are_answered_after_their_root_and_notes_not_at_all():
    root = finding(Code.GRADIENTS_KEPT, finding(Code.DIVERGING))
    note = finding(Code.TRAIN_EVAL_GAP, severity=Severity.NOTE)
    found = kinds(case(root, note))
    assert found[:2] == [Kind.ZERO_GRADIENTS, Kind.RATE]
    assert Kind.BATCH_NORM not in found


def test_a_model_is_changed_only_where_that_is_allowed():
    given = case(finding(Code.LINEAR_STACK, first="0", second="1"))
    assert kinds(given)[0] is Kind.INSERT
    assert Kind.INSERT not in kinds(given, allows_model=False)
    assert {
        each.safety for each in candidates(given, allows_model=False)
    } <= {Safety.SAFE, Safety.CHANGES_TRAINING}  # fmt: skip


def test_each_treatment_is_tried_once():
    found = candidates(
        case(finding(Code.RATE_TOO_HIGH), finding(Code.DIVERGING)), allows_model=True
    )
    assert len({(each.kind, str(each.numbers)) for each in found}) == len(found)


def test_parameters_left_out_are_a_finding_of_the_code_alone():
    given = case(left_out=[{"shape": [2, 2]}])
    assert candidates(given, allows_model=False)[0].kind is Kind.ADD_PARAMETERS


def test_scales_are_those_of_the_data_in_four_digits():
    inputs = InputFacts(
        name="x", phase=Phase.TRAINING, shape=(32, 2), features=2,
        values=Spread(count=64, mean=5.0, deviation=3.0),
        feature_means=(1234.56, 2.0), feature_deviations=(7.0, 0.0),
    )  # fmt: skip
    loss = LossFacts(
        function="mse_loss", phase=Phase.TRAINING,
        target=Spread(count=9, mean=1e6 + 1, deviation=2e5),
    )  # fmt: skip
    findings = (finding(Code.UNSCALED_INPUT), finding(Code.UNSCALED_TARGET))
    found = candidates(Case(findings, {}, (inputs,), loss), allows_model=False)
    scaled = [each for each in found if each.kind is Kind.SCALE]
    assert scaled[0].numbers == {
        "inputs": [[1235.0, 2.0], [7.0, 1.0]], "targets": [1000000.0, 200000.0],
    }  # fmt: skip
    assert [each.changes_loss for each in scaled] == [True, False, True]


def test_classes_are_weighted_by_what_was_counted_where_the_loss_takes_weights():
    loss = LossFacts(function="cross_entropy", phase=Phase.TRAINING, class_counts=(900, 0, 100))
    findings = (finding(Code.IMBALANCE),)
    weighted = candidates(
        Case(findings, {"loss": loss_of("cross_entropy")}, (), loss), allows_model=False
    )
    assert weighted[0].numbers["weights"] == [1.0, 1.0, 9.0]
    assert weighted[1].numbers["weights"] == [1.0, 1.0, 3.0]
    given = Case(findings, {"loss": loss_of("mse_loss")}, (), loss)
    assert [each.kind for each in candidates(given, allows_model=False)] == [Kind.SEED]


def test_a_schedule_that_steps_at_every_batch_steps_once_an_epoch():
    schedules = {"a.py:3": {"place": {"file": "a.py", "line": 3}, "kind": "StepLR", "steps": 200}}
    found = candidates(
        case(finding(Code.RATE_TOO_LOW), schedules=schedules, loader={"file": "a.py", "line": 1}),
        allows_model=False,
    )
    assert [each.numbers.get("when") for each in found[:2]] == ["epoch", "never"]


@pytest.mark.parametrize("code", PROPOSERS)
def test_no_proposer_needs_more_than_a_finding(code):
    given = Case((finding(code, first="0", second="1"),), {})
    assert candidates(given, allows_model=True)[-1].kind is Kind.SEED


def test_a_treatment_survives_json():
    treatment = Treatment(kind=Kind.SKIP, label="a", numbers={"keys": [KEY]}, changes_loss=True)
    assert Treatment.from_json(treatment.to_json()) == treatment


def trial(**series):
    return Trial(
        steps=10, series={name.replace("_", " "): ((10, value),) for name, value in series.items()}
    )


def test_what_is_printed_comes_first_then_metrics_then_held_back_rows():
    given = trial(metric_f1=0.5, held_back=1.0, training_loss=2.0)
    assert choose_score(given, ScoreWish(), loss_changes=True).name == "metric f1"
    printed = trial(printed=0.4, metric_f1=0.5)
    wish = ScoreWish(pattern=r"accuracy (\S+)")
    assert choose_score(printed, wish, loss_changes=True).name == "printed"
    series = {"held-back loss": ((10, 1.0),), "held-back accuracy": ((10, 0.5),)}
    held_back = Trial(steps=10, series=series)
    assert choose_score(held_back, ScoreWish(), loss_changes=False).name == "held-back loss"
    assert choose_score(held_back, ScoreWish(), loss_changes=True).name == "held-back accuracy"


def test_the_training_loss_decides_last_and_is_not_comparable():
    choice = choose_score(trial(training_loss=1.0), ScoreWish(), loss_changes=True)
    assert (choice.name, choice.is_less_better, choice.is_comparable) == (
        "training loss",
        True,
        False,
    )


@pytest.mark.parametrize(
    ("name", "is_less"),
    [("accuracy", False), ("val_loss", True), ("test error", True), ("mse", True), ("F1", False)],
)
def test_the_direction_is_guessed_from_the_name_and_said(name, is_less):
    given = Trial(steps=1, series={f"metric {name}": ((1, 1.0),)})
    choice = choose_score(given, ScoreWish(), loss_changes=False)
    assert choice.is_less_better is is_less
    assert "by its name" in choice.why
    told = choose_score(given, ScoreWish(is_less_better=not is_less), loss_changes=False)
    assert told.is_less_better is not is_less


def test_a_score_that_is_not_there_is_told():
    with pytest.raises(SettingsError, match="finds no number in what the program printed"):
        choose_score(trial(training_loss=1.0), ScoreWish(pattern="a(.)"), loss_changes=False)
    with pytest.raises(UnknownNameError, match="unknown metric 'f2'; known are: f1"):
        choose_score(trial(metric_f1=1.0), ScoreWish(metric="f2"), loss_changes=False)
    with pytest.raises(SettingsError, match="recorded no metric"):
        choose_score(trial(training_loss=1.0), ScoreWish(metric="f2"), loss_changes=False)
    with pytest.raises(SettingsError, match="is no regular expression"):
        ScoreWish(pattern="(")
