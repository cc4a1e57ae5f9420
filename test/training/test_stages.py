import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import find_checkpoint, load_manifest, sha256
from firsthand.policy.session import Policy
from firsthand_training.training.export import export
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.sources import Source
from firsthand_training.training.stages import read_start, take_over
from firsthand_training.training.train import TrainSettings, fit_sources
from firsthand_training.training.training_state import load_trained_model, read_training_state

CACHE = {"encoder": "dinov2_vits14", "source_sha256": "0" * 64, "image_size": [56, 84], "every": 1, "fps": 25}


@pytest.fixture(scope="module")
def settings(method):
    return TrainSettings(
        method=method, steps=2, batch=4, micro_batch=4, warm_up=1, held_out=0.0, device="cpu", threads=1
    )


@pytest.fixture(scope="module")
def pretrained(episodes, settings, tmp_path_factory):
    output = tmp_path_factory.mktemp("pretrained")
    return fit_sources([Source("video", "video", episodes[:2])], output, settings, {"stage": "one"}, progress=False)


@pytest.fixture(scope="module")
def finetuned(episodes, settings, pretrained, tmp_path_factory):
    output = tmp_path_factory.mktemp("finetuned")
    sources = [Source("robot", "robot", episodes[2:4])]
    start = read_start(pretrained.parent)
    return fit_sources(sources, output, settings, {"stage": "two", "cache": CACHE}, start, progress=False)


@pytest.fixture(scope="module")
def checkpoint(finetuned, tmp_path_factory):
    return export(finetuned, tmp_path_factory.mktemp("checkpoint"), task="reach")


def first_weights(path, method, start, episodes, settings):
    """The weights before the first step, seen through a learning rate of nothing."""
    still = replace(settings, method=method, steps=1, learning_rate=0.0)
    state = fit_sources([Source("robot", "robot", episodes[:1])], path, still, None, start, progress=False)
    return read_training_state(state)[0]


def test_a_run_begins_with_the_averaged_weights_of_the_one_before(pretrained, episodes, settings, tmp_path):
    tensors = first_weights(tmp_path, settings.method, read_start(pretrained), episodes, settings)
    before = read_training_state(pretrained)[0]
    names = [name for name in before if name.startswith("average/")]
    assert names
    for name in names:
        torch.testing.assert_close(tensors[name.replace("average/", "model/")], before[name])


def test_features_keep_their_scale_and_a_new_embodiment_gets_its_own(pretrained, finetuned, episodes):
    before, after = load_trained_model(pretrained), load_trained_model(finetuned)
    assert set(after.statistics) == {"video", "robot"}
    np.testing.assert_array_equal(after.statistics["robot"].feature_mean, before.statistics["video"].feature_mean)
    robot = np.concatenate([part for each in episodes[2:4] for part in (each.state, each.action)])
    np.testing.assert_allclose(after.statistics["robot"].numbers.mean, robot.mean(axis=0))


def test_the_whole_chain_is_remembered(finetuned, episodes, settings, tmp_path):
    start = read_start(finetuned)
    third = fit_sources([Source("robot", "robot", episodes[4:])], tmp_path, settings, None, start, progress=False)
    provenance = load_trained_model(third).description["provenance"]
    assert provenance["from"]["stage"] == "two"
    assert provenance["from"]["step"] == 2
    assert provenance["from"]["from"]["stage"] == "one"
    assert len(provenance["from"]["from"]["sha256"]) == 64


def test_a_checkpoint_can_be_trained_on_and_says_so(finetuned, checkpoint, episodes, settings, tmp_path):
    assert load_manifest(checkpoint).provenance["from"]["stage"] == "one"
    start = read_start(checkpoint)
    trained = load_trained_model(finetuned)
    assert set(start.weights) == set(trained.model.state_dict())
    np.testing.assert_allclose(start.statistics["robot"].numbers.std, trained.statistics["robot"].numbers.std)
    assert start.provenance["stage"] == "two"
    tensors = first_weights(tmp_path / "next", settings.method, start, episodes, settings)
    name = "action_decoder.out.weight"
    torch.testing.assert_close(tensors[f"model/{name}"], trained.model.state_dict()[name])


def test_what_does_not_fit_begins_afresh_and_is_named(pretrained, settings):
    wider = WorldModelMethod(replace(settings.method.network, width=32)).build()
    taken = take_over(wider, read_start(pretrained).weights)
    assert any(name.startswith("dynamics.") for name in taken.taken)
    assert "action_decoder.out.weight" in taken.fresh
    assert len(taken.taken) + len(taken.fresh) == len(wider.state_dict())
    assert "fresh: " in str(taken)


def test_a_run_does_not_go_on_from_another_start(pretrained, finetuned, episodes, settings, tmp_path):
    sources = [Source("robot", "robot", episodes[:2])]
    fit_sources(sources, tmp_path, settings, None, read_start(pretrained), progress=False)
    with pytest.raises(CheckpointError, match="begun with other provenance: from"):
        fit_sources(sources, tmp_path, settings, None, read_start(finetuned), progress=False)


def test_an_embodiment_that_was_never_seen_is_not_exported(pretrained, finetuned, tmp_path):
    with pytest.raises(CheckpointError, match="was trained on robot, video, not on 'human'"):
        export(finetuned, tmp_path, task="reach", embodiment="human")
    manifest = load_manifest(export(finetuned, tmp_path / "video", task="reach", embodiment="video"))
    assert manifest.provenance["embodiment"] == "video"
    expected = load_trained_model(finetuned).statistics["video"].numbers.mean
    np.testing.assert_allclose(manifest.state_normalization.mean, expected)
    assert manifest.state_normalization == manifest.action_normalization


def test_starts_that_are_none_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="nothing to start from"):
        read_start(tmp_path)
    with pytest.raises(CheckpointError, match="another network"):
        take_over(torch.nn.Linear(2, 2), {"weight": torch.zeros(3, 3)})


def test_a_checkpoint_without_statistics_says_that_it_only_runs(checkpoint, tmp_path):
    checkpoint = shutil.copytree(checkpoint, tmp_path / "older")
    weights = {k: v for k, v in load_file(checkpoint / "model.safetensors").items() if "statistics" not in k}
    save_file(weights, checkpoint / "model.safetensors")
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"]["model.safetensors"] = sha256(checkpoint / "model.safetensors")
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="it runs as before, but cannot be trained on"):
        read_start(checkpoint)
    assert find_checkpoint(checkpoint) == checkpoint
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="a robot's copy runs without, training starts from a whole one"):
        read_start(checkpoint)
    Policy.load(checkpoint)


def test_the_shipped_policy_says_why_it_cannot_be_trained_on():
    with pytest.raises(CheckpointError, match="states and actions were normalised apart"):
        read_start(find_checkpoint("push"))
