"""Which treatments are tried for which findings, in which order, and which score decides."""

import pytest

from benchmarks.clinic.curable import CURABLE
from benchmarks.clinic.grid import FAULTS
from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety, Severity
from relume.errors import SettingsError, UnknownNameError
from relume.remedies.cure.candidates import PROPOSERS, candidates
from relume.remedies.cure.case import Case
from relume.remedies.cure.score import ScoreWish, choose_score, pacing_score
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
        (Code.SIGMOID_TWICE, loss_of("", "sigmoid"), Kind.SKIP),
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
    assert Kind.CLASS_WEIGHTS not in kinds(given)


@pytest.mark.parametrize(
    ("code", "survey", "wanted"),
    [
        (Code.SELU_SETUP, {}, (Kind.INITIALISE, {"scheme": "lecun"})),
        (
            Code.SELU_SETUP,
            {"modules": {"1": {"kind": "Dropout"}}},
            (Kind.DROPOUT, {"share": None}),
        ),
        (Code.NEGATIVE_SLOPES, {}, (Kind.INITIALISE, {"scheme": "slopes"})),
        (Code.ALWAYS_ON, {}, (Kind.INITIALISE, {"scheme": "default"})),
        (Code.DEAD_LAYER, {}, (Kind.INITIALISE, {"scheme": "default"})),
        (Code.STARVED_LAYER, {}, (Kind.INITIALISE, {"scheme": "he"})),
        (
            Code.STARVED_LAYER,
            {"activations": [KEY | {"function": "tanh"}]},
            (Kind.INITIALISE, {"scheme": "lecun"}),
        ),
        (
            Code.DECAYED_SLOPES,
            {"optimizers": [{"rate": 0.1, "decay": 0.1}]},
            (Kind.WEIGHT_DECAY, {"factor": 1.0, "spares": True}),
        ),
        (
            Code.NOT_DECREASING,
            {"optimizers": [{"rate": 0.1, "decay": 0.1}]},
            (Kind.WEIGHT_DECAY, {"factor": 0.0, "spares": False}),
        ),
        (
            Code.OSCILLATING,
            {"optimizers": [{"rate": 0.1, "momentum": 0.98}]},
            (Kind.MOMENTUM, {"momentum": 0.9}),
        ),
        (
            Code.TRAIN_EVAL_GAP,
            {"modules": {"1": {"kind": "BatchNorm1d", "momentum": 0.002}}},
            (Kind.BATCH_NORM, {"momentum": 0.1}),
        ),
        (
            Code.TRAIN_EVAL_GAP,
            {"modules": {"1": {"kind": "BatchNorm1d", "momentum": 0.1}}},
            (Kind.BATCH_NORM, {"momentum": 0.5}),
        ),
        (
            Code.NONFINITE_GRADIENT,
            {"batch": [2, 1], "has_missing": True, "roots": [{"file": "train.py", "line": 3}]},
            (Kind.DROP_ROWS, {"dimensions": [2, 1]}),
        ),
        (
            Code.NONFINITE_GRADIENT,
            {"batch": [2, 1], "has_missing": False, "roots": [{"file": "train.py", "line": 3}]},
            (Kind.ROOT, {"places": [{"file": "train.py", "line": 3}], "added": 1e-12}),
        ),
        (
            Code.DEFAULT_TANH,
            {"modules": {"1": {"kind": "RNN", "nonlinearity": "tanh"}}},
            (Kind.NONLINEARITY, {"layers": ["1"], "to": "relu"}),
        ),
        (
            Code.UPDATE_RATIO,
            {"optimizers": [{"rate": 1e-5, "rates": [1e-5, 0.1]}]},
            (Kind.ONE_RATE, {"rate": 0.1}),
        ),
        (
            Code.RATE_TOO_HIGH,
            {"optimizers": [{"rate": 0.1, "rates": [0.1, 30.0]}]},
            (Kind.ONE_RATE, {"rate": 0.1}),
        ),
        (
            Code.DYING_UNITS,
            {"optimizers": [{"rate": 0.1, "is_rate_written": True}]},
            (Kind.HOLD_RATE, {}),
        ),
        (
            Code.NLL_WITHOUT_LOG,
            {"loss": loss_of("nll_loss", "softmax")},
            (Kind.LOG_SOFTMAX, {"of_probabilities": True}),
        ),
        (
            Code.ONE_OUTPUT,
            {"loss": loss_of("binary_cross_entropy", "softmax")},
            (Kind.SWAP, {"keys": [KEY], "to": "sigmoid"}),
        ),
        (
            Code.ONE_OUTPUT,
            {"loss": loss_of("cross_entropy", prediction_shape=[8, 1], target_shape=[8, 1])},
            (Kind.ONE_LOGIT, {}),
        ),
    ],
)
def test_what_the_code_shows_decides_what_comes_first(code, survey, wanted):
    first = candidates(case(finding(code), **survey), allows_model=True)[0]
    assert (first.kind, first.numbers) == wanted


def test_decay_that_adamw_multiplies_by_its_rate_is_usual_up_to_a_tenth():
    def has_decay(**optimizer):
        optimizers = [{"rate": 0.1, **optimizer}]
        return Kind.WEIGHT_DECAY in kinds(case(finding(Code.PLATEAU), optimizers=optimizers))

    assert has_decay(decay=0.01)
    assert not has_decay(decay=0.01, is_decoupled=True)
    assert has_decay(decay=0.2, is_decoupled=True)
    assert not has_decay(decay=0.0)


def test_answers_take_turns_and_what_may_always_help_comes_before_a_third_of_a_kind():
    found = candidates(case(finding(Code.RATE_TOO_HIGH)), allows_model=True)
    labels = [each.label for each in found]
    assert labels[:3] == [
        "learning rate x 0.1", "gradients clipped to norm 1", "warm-up over 20 steps",
    ]  # fmt: skip
    places = [labels.index(f"learning rate x {factor}") for factor in (0.01, 0.003)]
    assert places[0] < labels.index("He initialisation") < places[1]


def test_what_bounds_the_output_is_left_out_once_whatever_was_found():
    found = candidates(
        case(finding(Code.PLATEAU), loss=loss_of("mse_loss", "tanh")), allows_model=False
    )
    places = [i for i, each in enumerate(found) if each.kind is Kind.SKIP]
    assert len(places) == 1
    assert found[places[0]].label == "no tanh before mse_loss"
    assert places[0] < [each.kind for each in found].index(Kind.CLIP)
    needed = loss_of("binary_cross_entropy", "sigmoid")
    assert Kind.SKIP not in kinds(case(finding(Code.PLATEAU), loss=needed))


def test_a_raised_rate_is_by_how_far_updates_are_from_usual():
    low = finding(Code.RATE_TOO_LOW, update_ratio=3e-7)
    factors = [
        each.numbers["factor"]
        for each in candidates(case(low), allows_model=False)
        if each.kind is Kind.RATE and each.answers
    ]
    assert factors == [1e4, 1e5, 3.0]


@pytest.mark.parametrize(
    ("code", "optimizer", "factors"),
    [
        (Code.RATE_TOO_HIGH, {"kind": "Adam", "rate": 5.0}, [2e-4, 0.1, 0.01, 0.003]),
        (Code.RATE_TOO_HIGH, {"kind": "SGD", "rate": 5.0}, [2e-3, 0.1, 0.01, 0.003]),
        (Code.RATE_TOO_HIGH, {"kind": "Adam", "rate": 2e-3}, [0.1, 0.01, 0.003]),
        (Code.RATE_TOO_HIGH, {"kind": "Own", "rate": 5.0}, [0.1, 0.01, 0.003]),
        (Code.RATE_TOO_LOW, {"kind": "AdamW", "rate": 2e-5}, [10.0, 50.0, 100.0, 3.0]),
    ],
)
def test_a_rate_far_from_usual_ones_is_brought_there(code, optimizer, factors):
    given = case(finding(code), optimizers=[optimizer])
    assert factors == [
        each.numbers["factor"]
        for each in candidates(given, allows_model=False)
        if each.kind is Kind.RATE and each.answers
    ]


@pytest.mark.parametrize(
    ("function", "kind", "width", "to"),
    [
        ("binary_cross_entropy", "classes", 3, "sigmoid"),
        ("by hand", "binary", 1, "sigmoid"),
        ("nll_loss", "classes", 3, "softmax"),
    ],
)
def test_raw_outputs_become_probabilities(function, kind, width, to):
    loss = LossFacts(
        function=function, phase=Phase.TRAINING, target_kind=kind, head_width=width
    )  # fmt: skip
    given = Case((finding(Code.LOGITS_AS_PROBABILITIES),), {}, (), loss)
    first = candidates(given, allows_model=False)[0]
    assert (first.kind, first.numbers["function"], first.changes_loss) == (
        Kind.PROBABILITIES,
        to,
        True,
    )


def test_a_schedule_that_steps_at_every_batch_steps_once_an_epoch():
    schedules = {"a.py:3": {"place": {"file": "a.py", "line": 3}, "kind": "StepLR", "steps": 200}}
    found = candidates(
        case(finding(Code.RATE_TOO_LOW), schedules=schedules, loader={"file": "a.py", "line": 1}),
        allows_model=False,
    )
    when = [each.numbers["when"] for each in found if each.kind is Kind.SCHEDULE]
    assert when == ["epoch", "never"]
    assert [each.kind for each in found[:2]] == [Kind.RATE, Kind.SCHEDULE]


UNANSWERED = {
    Code.CONSTANT_INPUT, Code.CONSTANT_TARGET, Code.SQUARED_ERROR_ON_CLASSES, Code.BATCH_OF_ONE,
    Code.LEAKED_ROWS, Code.OVER_TRAINING, Code.MEMORISING,
}  # fmt: skip
"""Rows, labels and losses that are the author's."""


def test_every_finding_but_those_that_no_change_from_outside_cures_has_an_answer():
    assert set(Code) - set(PROPOSERS) == UNANSWERED
    curable = [each for each in FAULTS if each.name in CURABLE]
    assert {each.name for each in curable} == set(CURABLE)
    assert not {code for each in curable for code in each.true} & UNANSWERED


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


def test_losers_are_stopped_by_what_is_known_on_the_way():
    series = {
        "printed": ((100, 0.5),), "held-back accuracy": ((25, 0.2), (50, 0.3)),
        "training loss": ((20, 3.0),),
    }  # fmt: skip
    given = Trial(steps=100, series=series)
    choice = choose_score(given, ScoreWish(pattern="(.)"), loss_changes=True)
    pace = pacing_score(given, choice, (25, 50), loss_changes=True)
    assert (pace.name, pace.is_less_better) == ("held-back accuracy", False)
    early = Trial(steps=100, series=series | {"printed": ((10, 0.1), (100, 0.5))})
    assert pacing_score(early, choice, (25, 50), loss_changes=True) == choice
    del series["held-back accuracy"]
    alone = Trial(steps=100, series=series)
    assert pacing_score(alone, choice, (25, 50), loss_changes=False).name == "training loss"
    assert pacing_score(alone, choice, (25, 50), loss_changes=True) == choice


def test_a_score_that_is_not_there_is_told():
    with pytest.raises(SettingsError, match="finds no number in what the program printed"):
        choose_score(trial(training_loss=1.0), ScoreWish(pattern="a(.)"), loss_changes=False)
    with pytest.raises(UnknownNameError, match="unknown metric 'f2'; known are: f1"):
        choose_score(trial(metric_f1=1.0), ScoreWish(metric="f2"), loss_changes=False)
    with pytest.raises(SettingsError, match="recorded no metric"):
        choose_score(trial(training_loss=1.0), ScoreWish(metric="f2"), loss_changes=False)
    with pytest.raises(SettingsError, match="is no regular expression"):
        ScoreWish(pattern="(")
