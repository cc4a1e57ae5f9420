import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from firsthand.errors import CheckpointError, TrainingError
from firsthand_training.training.augmentation import AugmentationSettings
from firsthand_training.training.log import METRICS
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.stages import read_start
from firsthand_training.training.train import STATE, TrainSettings, fit, learning_rate, train_step
from firsthand_training.training.training_state import TrainingState, load_trained_model, read_training_state
from firsthand_training.training.validation import validate
from firsthand_training.training.windows import Statistics, Windows, split_episodes


@pytest.fixture
def settings(method):
    return TrainSettings(
        method=method,
        steps=8,
        batch=8,
        micro_batch=4,
        warm_up=2,
        learning_rate=3e-3,
        held_out=0.2,
        validate_every=4,
        validation_windows=16,
        save_every=4,
        device="cpu",
        threads=1,
    )


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_training_learns_to_reach(make_episode, settings, tmp_path):
    """From features of an object and a wrist to the path between them, on episodes never trained on."""
    quiet = AugmentationSettings(feature_noise=0, channel_noise=0, patch_dropout=0, state_noise=0)
    longer = replace(
        settings,
        steps=100,
        batch=16,
        micro_batch=16,
        validate_every=100,
        save_every=100,
        augmentation=quiet,
        average=0.9,
    )
    fit([make_episode(seed) for seed in range(40)], tmp_path, longer, progress=False)
    quality = json.loads((tmp_path / METRICS).read_text().splitlines()[-1])
    assert quality["loss/action"] < 0.3  # at the start about 1
    assert quality["validation/robot/action/wrist_mm"] < 0.8 * quality["validation/robot/hold/wrist_mm"]
    assert quality["validation/robot/feature_skill"] > 0.2
    assert quality["validation/robot/feature_skill/moving"] > 0.2


def test_an_interrupted_run_ends_as_an_uninterrupted_one(episodes, settings, tmp_path, monkeypatch):
    whole = fit(episodes, tmp_path / "whole", settings, progress=False)
    stop_after(monkeypatch, 6)  # saved at 4, so two steps are lost and done again
    with pytest.raises(KeyboardInterrupt):
        fit(episodes, tmp_path / "cut", settings, progress=False)
    monkeypatch.undo()
    cut = tmp_path / "cut" / STATE
    assert read_training_state(cut)[1]["step"] == "4"
    fit(episodes, tmp_path / "cut", settings, progress=False)
    (expected, header), (resumed, resumed_header) = read_training_state(whole), read_training_state(cut)
    assert header == resumed_header
    assert set(expected) == set(resumed)
    for name, tensor in expected.items():
        assert torch.equal(tensor, resumed[name]), name


def gradient(windows, method, settings, size):
    """Of a step on some windows, in micro-batches of a size."""
    torch.manual_seed(0)
    network = method.build()
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    state = TrainingState(
        network,
        deepcopy(network),
        torch.optim.SGD([{"params": list(network.parameters()), "multiple": 0.0}], lr=0.0),
        {},
    )
    numbers = range(0, len(windows), 2)
    batches = [windows.batch(numbers[first : first + size]) for first in range(0, len(numbers), size)]
    only = replace(settings, method=method, batch=len(numbers), micro_batch=size, clip=0.0)
    losses = train_step(state, iter(batches), only)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return torch.cat([each.flatten() for each in gradients]).double(), losses


def test_micro_batches_do_not_change_the_gradient_however_unevenly_targets_lie_in_them(episodes, settings):
    """Windows at the end of an episode have few targets, and labels of quality 0 none."""
    still = AugmentationSettings(feature_noise=0, channel_noise=0, patch_dropout=0, state_noise=0)
    method = WorldModelMethod(replace(settings.method.network, state_dropout=0.0))
    doubtful = replace(episodes[1], quality=np.repeat([0.0, 0.7, 1.0], 8))
    windows = Windows([episodes[0], doubtful], Statistics.fit(episodes), method.window)
    quiet = replace(settings, augmentation=still)
    whole, losses = gradient(windows, method, quiet, 24)
    for size in (3, 10, 12):
        parts, of_parts = gradient(windows, method, quiet, size)
        assert ((parts - whole).norm() / whole.norm()).item() < 1e-5
        assert of_parts == pytest.approx(losses, rel=1e-5)


def test_a_micro_batch_that_is_the_batch_is_divided_by_its_own_targets(episodes, method):
    windows = Windows(episodes, Statistics.fit(episodes), method.window)
    batch, network = windows.batch([0, 20, 23, 30]), method.build().eval()
    alone, told = (method.loss(network, each).total for each in (batch, replace(batch, whole=batch.counts())))
    assert torch.equal(alone, told)


def test_a_finished_run_is_left_alone(episodes, settings, tmp_path):
    path = fit(episodes, tmp_path, settings, progress=False)
    before = path.stat().st_mtime_ns
    assert fit(episodes, tmp_path, settings, progress=False) == path
    assert path.stat().st_mtime_ns == before


def test_another_run_in_the_same_folder_is_refused(episodes, settings, tmp_path):
    fit(episodes, tmp_path, settings, progress=False)
    with pytest.raises(CheckpointError, match=r"learning_rate 0\.003 there, 0\.1 now"):
        fit(episodes, tmp_path, replace(settings, learning_rate=0.1), progress=False)


def test_a_damaged_training_state_is_refused(episodes, settings, tmp_path):
    path = fit(episodes, tmp_path, settings, progress=False)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a whole training state"):
        fit(episodes, tmp_path, settings, progress=False)
    with pytest.raises(CheckpointError, match="no training state"):
        load_trained_model(tmp_path / "nowhere")


def test_the_trained_model_is_the_average_that_was_validated(episodes, settings, tmp_path):
    trained = load_trained_model(fit(episodes, tmp_path, settings, progress=False))
    inside, outside = split_episodes(len(episodes), settings.held_out, settings.seed)
    assert trained.description["held_out"] == {"robot": outside}
    statistics = Statistics.fit([episodes[number] for number in inside])
    windows = Windows([episodes[number] for number in outside], statistics, settings.method.window)
    quality = validate(trained.model, windows, settings.validation_windows)
    logged = json.loads((tmp_path / METRICS).read_text().splitlines()[-1])
    assert quality["action/wrist_mm"] == pytest.approx(logged["validation/robot/action/wrist_mm"], rel=1e-5)
    assert trained.step == logged["step"] == 8


def test_a_run_that_diverges_says_so_and_keeps_its_last_good_state(episodes, settings, tmp_path, monkeypatch):
    path = fit(episodes, tmp_path, replace(settings, steps=4), progress=False)
    longer = replace(settings, save_every=1)
    good = path.read_bytes()
    monkeypatch.setattr("firsthand_training.training.train._check_same_run", lambda *_: None)
    broken = [replace(each, action=each.action * np.nan) for each in episodes]
    pattern = (
        r"step 5 has a loss that is not finite \(total, action\); .*--from this one, with a smaller --learning-rate"
    )
    for _ in range(2):  # going on leads to the same step
        with pytest.raises(TrainingError, match=pattern):
            fit(broken, tmp_path, longer, progress=False)
        assert path.read_bytes() == good
    start = read_start(tmp_path)
    assert all(torch.isfinite(weight).all() for weight in start.weights.values())


def test_too_large_a_learning_rate_ends_as_an_error_of_ours(episodes, settings, tmp_path):
    with pytest.raises(TrainingError, match="not finite"):
        fit(episodes, tmp_path, replace(settings, learning_rate=1e20, warm_up=0), progress=False)


def test_the_learning_rate_warms_up_and_falls(settings):
    long = replace(settings, steps=100, warm_up=10, learning_rate=1.0)
    rates = [learning_rate(step, long) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate(100, long) == pytest.approx(0.01)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"average": 1.0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainSettings(**wrong)


def stop_after(monkeypatch, steps):
    """Interrupt training as Ctrl-C would, after some steps."""
    import firsthand_training.training.train as module

    original, done = module.train_step, []

    def step(*arguments):
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(1)
        return original(*arguments)

    monkeypatch.setattr(module, "train_step", step)
