"""HAT and ACT as methods: their objective by hand, and from a few episodes to a policy that the robot loads."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from firsthand.errors import CheckpointError
from firsthand.policy.session import Policy
from firsthand.space.hand_state import LEFT_FINGERTIPS, LEFT_WRIST_POSITION, RIGHT_WRIST_ROTATION
from firsthand_training.models.baselines.act import ActSettings
from firsthand_training.models.baselines.chunking import ChunkingOutput, TransformerSettings
from firsthand_training.models.baselines.hat import HatSettings
from firsthand_training.models.baselines.posterior import Gaussian
from firsthand_training.models.baselines.resnet import ResNet18
from firsthand_training.training import train as train_module
from firsthand_training.training.augmentation import AugmentationSettings
from firsthand_training.training.export import export
from firsthand_training.training.log import METRICS
from firsthand_training.training.methods.act import ActMethod
from firsthand_training.training.methods.chunking import ChunkingLossSettings, chunking_loss
from firsthand_training.training.methods.hat import HatMethod
from firsthand_training.training.methods.registry import describe_method, rebuild_method
from firsthand_training.training.train import TrainSettings, fit
from firsthand_training.training.training_state import load_trained_model, read_training_state
from firsthand_training.training.windows import Statistics, TrainingEpisode, Windows

SMALL = TransformerSettings(
    width=32, heads=2, feed_forward=64, encoder_layers=1, decoder_layers=2, latent=4, dropout=0.0
)
HAT = HatMethod(HatSettings(horizon=6, rows=4, columns=6, channels=8, transformer=SMALL))
ACT = ActMethod(
    ActSettings(horizon=6, rows=32, columns=48, transformer=SMALL, backbone_width=4, backbone_norm="group"),
    ChunkingLossSettings(wrist=2.0),  # nothing but a wrist moves in these episodes
    backbone_rate=1.0,
)
QUIET = AugmentationSettings(feature_noise=0, channel_noise=0, patch_dropout=0, state_noise=0)
PLAIN = TrainSettings(
    method=HAT, augmentation=QUIET, steps=90, batch=16, micro_batch=16, learning_rate=2e-3, schedule="constant",
    decay_all=True, betas=(0.9, 0.999), warm_up=0, clip=0.0, average=0.0, held_out=0.0, validate_every=30,
    save_every=90, device="cpu", threads=1,
)  # fmt: skip
CACHE = {
    "hat": {"encoder": "dinov2_vits14", "source_sha256": "0" * 64, "image_size": [56, 84], "every": 1, "fps": 25},
    "act": {"encoder": "pixels", "source_sha256": "", "image_size": [32, 48], "every": 1, "fps": 25},
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def pictures(episode):
    """The same demonstration in colours: what the patches show of wrist and object, as a picture of 32 x 48."""
    bumps = np.stack([episode.features[..., 0], episode.features[..., 4], episode.features[..., 7]], axis=-1)
    images = np.kron(255 * np.clip(bumps.astype(float), 0, 1), np.ones((1, 1, 8, 8, 1))).astype(np.uint8)
    return TrainingEpisode(images, episode.state, episode.action)


def data_for(method, episodes):
    return [pictures(each) for each in episodes] if isinstance(method, ActMethod) else episodes


def a_batch(episodes, window, numbers):
    return Windows(episodes, Statistics.fit(episodes), window).batch(numbers)


def test_the_objective_by_hand(episodes):
    """A wrist number wrong by 1 and a fingertip number by 2 at the first of 6 steps, 3 of which are in the episode."""
    batch = a_batch(episodes, HAT.window, [21])
    actions = batch.actions.clone()
    actions[0, 0, LEFT_WRIST_POSITION.start] += 1.0
    actions[0, 0, LEFT_FINGERTIPS.start] -= 2.0
    actions[0, 3:] += 100.0  # beyond the end
    style = Gaussian(torch.tensor([[2.0]]), torch.tensor([[0.0]]))
    losses = chunking_loss(ChunkingOutput(actions, style), batch, HAT.losses)
    l1, wrist, divergence = 3 / (6 * 128), 1 / (6 * 9), 2.0
    assert float(losses.terms["action"]) == pytest.approx(l1, rel=1e-5)
    assert float(losses.terms["wrist"]) == pytest.approx(wrist, rel=1e-5)
    assert float(losses.total) == pytest.approx(l1 + 10 * divergence + 2 * wrist, rel=1e-5)
    plain = chunking_loss(ChunkingOutput(actions, style), batch, ActMethod().losses)
    assert float(plain.total) == pytest.approx(3 / (6 * 54) + 10 * divergence, rel=1e-5)


def test_both_wrists_count_with_all_nine_numbers(episodes):
    batch = a_batch(episodes, HAT.window, [0])
    actions, style = batch.actions.clone(), Gaussian(torch.zeros(1, 1), torch.zeros(1, 1))
    actions[..., RIGHT_WRIST_ROTATION] += 1.0
    losses = chunking_loss(ChunkingOutput(actions, style), batch, HAT.losses)
    assert float(losses.terms["wrist"]) == pytest.approx(6 / 9, rel=1e-5)


@pytest.fixture(scope="module", params=["hat", "act"])
def run(request, episodes, tmp_path_factory):
    """90 steps on two episodes, and what they were of."""
    method = {"hat": HAT, "act": ACT}[request.param]
    data = data_for(method, episodes[:2])
    output, threads = tmp_path_factory.mktemp("run"), torch.get_num_threads()
    state = fit(data, output, replace(PLAIN, method=method), {"cache": CACHE[request.param]}, progress=False)
    torch.set_num_threads(threads)
    return request.param, state, data


def test_a_few_episodes_are_learned(run):
    _, state, _ = run
    lines = [json.loads(line) for line in (state.parent / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines] == [30, 50, 60, 90]
    assert lines[-1]["loss/wrist"] < 0.5 * lines[0]["loss/wrist"]


def test_the_robot_does_what_was_learned(run, tmp_path):
    name, state, data = run
    policy = Policy.load(export(state, tmp_path, task="reach"))
    assert (policy.manifest.has_world_model, policy.manifest.predicted_frames) == (False, 0)
    assert policy.manifest.encoder.name == CACHE[name]["encoder"]
    assert policy.manifest.provenance["export_parity"]["actions"] <= 1e-4
    trained = load_trained_model(state)
    windows = Windows(data, trained.statistics_of("robot"), trained.method.window)
    for time in (0, 4, 10):
        prediction = policy.act(data[0].features[time].astype(np.float32), data[0].state[time])
        assert prediction.future_features is prediction.selected is None
        batch = windows.batch([time])
        expected = trained.statistics_of("robot").numbers.denormalize(
            trained.model(batch.features, batch.state).actions[0].detach()
        )
        np.testing.assert_allclose(prediction.actions[:, 18:], expected[:, 18:], atol=1e-4)


@pytest.mark.parametrize("method", [HAT, ACT], ids=["hat", "act"])
def test_a_cut_run_goes_on_as_if_uncut(method, episodes, tmp_path, monkeypatch):
    dropout = replace(method.network, transformer=replace(SMALL, dropout=0.1))
    settings = replace(PLAIN, method=replace(method, network=dropout), steps=4, batch=4, save_every=2)
    data = data_for(method, episodes[:2])
    whole = fit(data, tmp_path / "whole", settings, progress=False)
    step = train_module.train_step

    def stop(state, *rest):
        if state.step == 3:  # saved at 2, so one step is lost and done again
            raise KeyboardInterrupt
        return step(state, *rest)

    monkeypatch.setattr(train_module, "train_step", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path / "cut", settings, progress=False)
    monkeypatch.undo()
    cut = fit(data, tmp_path / "cut", settings, progress=False)
    one, other = read_training_state(whole)[0], read_training_state(cut)[0]
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_backbone_learns_at_its_own_rate_and_begins_with_the_given_weights(episodes, tmp_path):
    torch.manual_seed(5)
    pretrained = ResNet18(4)
    save_file(pretrained.state_dict(), tmp_path / "resnet18.safetensors")
    network = replace(ACT.network, backbone_norm="frozen_batch")
    method = ActMethod(network, backbone_weights=str(tmp_path / "resnet18.safetensors"), backbone_rate=0.0)
    settings = replace(PLAIN, method=method, steps=2, batch=2, save_every=2)
    state = fit(data_for(ACT, episodes[:2]), tmp_path / "run", settings, progress=False)
    learned = load_trained_model(state).model.backbone.state_dict()
    assert all(torch.equal(value, learned[name]) for name, value in pretrained.state_dict().items())


def test_frozen_statistics_of_nothing_are_refused(episodes, tmp_path):
    method = replace(ACT, network=replace(ACT.network, backbone_norm="frozen_batch"))
    with pytest.raises(CheckpointError, match="give torchvision's resnet18 file as backbone_weights, or learn from"):
        fit(data_for(ACT, episodes[:2]), tmp_path, replace(PLAIN, method=method), progress=False)


def test_methods_survive_their_description():
    for method in (HAT, ACT):
        assert rebuild_method(json.loads(json.dumps(describe_method(method)))) == method


def test_imagenet_weights_without_their_normalisation_are_refused():
    with pytest.raises(ValueError, match="come with frozen batch normalisation, got backbone_norm group"):
        replace(ACT, backbone_weights="resnet18.safetensors")


def test_fewer_dimensions_than_numbers_are_refused():
    with pytest.raises(ValueError, match="at least 54 dimensions, got 14"):
        ChunkingLossSettings(dimensions=14)
