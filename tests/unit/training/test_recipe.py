from hypothesis import given, settings
from hypothesis import strategies as st

from relume.training.data.prepared import Form
from relume.training.recipe import completed, threads_for
from relume.training.settings import FitSettings


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 5_000_000))
def test_whatever_the_size_the_choices_are_sane(rows):
    done = completed(FitSettings(), rows)
    assert 16 <= done.batch_size <= 1024
    assert done.batch_size & (done.batch_size - 1) == 0
    assert 10 <= done.epochs <= 150
    assert done.hidden


def test_what_was_chosen_stays():
    done = completed(FitSettings(batch_size=5, epochs=3, hidden=(2,)), 1000)
    assert (done.batch_size, done.epochs, done.hidden) == (5, 3, (2,))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 5_000_000))
def test_images_get_convolutions_small_batches_and_fewer_steps(rows):
    done = completed(FitSettings(), rows, Form.IMAGES)
    assert done.network == "cnn"
    assert 16 <= done.batch_size <= 128
    steps = -(-rows // done.batch_size) * done.epochs
    assert done.epochs == 10 or steps <= 6000
    assert completed(FitSettings(), rows).network == "mlp"
    assert completed(FitSettings(network="resnet"), rows, Form.IMAGES).network == "resnet"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 5_000_000))
def test_texts_get_a_bag_small_batches_and_few_epochs(rows):
    done = completed(FitSettings(), rows, Form.TEXTS)
    assert (done.network, done.hidden) == ("bag", (128,))
    assert 16 <= done.batch_size <= 128
    assert 10 <= done.epochs <= 15
    assert completed(FitSettings(network="rnn"), rows, Form.TEXTS).hidden == (128,)
    assert threads_for(done, 5_000_000, 8) == 1


def test_small_steps_use_one_thread_and_a_choice_stays():
    small = completed(FitSettings(), 1000)
    assert threads_for(small, 50_000, 8) == 1
    assert threads_for(small, 5_000_000, 8) == 8
    assert threads_for(completed(FitSettings(network="cnn"), 1000), 50_000, 8) == 8
    assert threads_for(completed(FitSettings(threads=3), 1000), 50_000, 8) == 3


def test_what_is_left_open_is_chosen_by_the_network():
    done = {form: completed(FitSettings(), 1000, form) for form in Form}
    sequences = done[Form.SEQUENCES]
    networks = [each.network for each in done.values()]
    assert networks == ["mlp", "cnn", "rnn", "bag"]
    assert [each.init for each in done.values()] == ["he", "he", "identity", "he"]
    assert [each.clip for each in done.values()] == [None, None, 1.0, None]
    other = completed(FitSettings(network="transformer"), 1000, Form.SEQUENCES)
    assert (other.init, other.clip, other.hidden) == ("he", 1.0, (64, 64))
    given = completed(FitSettings(init="orthogonal", clip=0.0), 1000, Form.SEQUENCES)
    assert (given.init, given.clip) == ("orthogonal", 0.0)
    assert threads_for(sequences, 5_000, 8) == 1


def test_an_autoencoder_has_a_code_and_no_dropout():
    done = completed(FitSettings(network="autoencoder"), 1000, features=64)
    assert (done.code, done.dropout, done.hidden) == (8, 0.0, (128, 64))
    given = FitSettings(network="autoencoder", code=3, dropout=0.1)
    assert (completed(given, 9, features=64).code, completed(given, 9).dropout) == (3, 0.1)
    assert (completed(FitSettings(), 1000).dropout, completed(FitSettings(), 9).code) == (0.3, None)
    assert completed(FitSettings(dropout=0.0), 1000).dropout == 0.0
    assert threads_for(done, 50_000, 8) == 1


def test_tables_get_bins_strong_decay_and_averaged_weights():
    table = completed(FitSettings(), 1000, numbers=12)
    assert (table.bins, table.weight_decay, table.averaging) == (8, 0.1, 1.0)
    assert completed(FitSettings(), 1000, numbers=1000).bins == 4
    assert completed(FitSettings(), 1000, numbers=4000).bins == 0
    assert completed(FitSettings(), 1000).bins == 0
    images = completed(FitSettings(network="mlp"), 1000, Form.IMAGES)
    assert (images.bins, images.weight_decay, images.averaging) == (0, 0.01, 0.0)
    given = completed(FitSettings(bins=0, weight_decay=0.0, averaging=0.0), 1000, numbers=12)
    assert (given.bins, given.weight_decay, given.averaging) == (0, 0.0, 0.0)


def test_a_network_for_other_data_is_completed_and_refused_later():
    assert completed(FitSettings(network="bag"), 1000).hidden is None
