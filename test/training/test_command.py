"""Training as people call it, from datasets on disk to an exported checkpoint, stage by stage."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import load_manifest
from firsthand.vision.dinov2_graph import SOURCE_SHA256
from firsthand.vision.encoder import NAME
from firsthand_training.command import main
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.write import EpisodeWriter, Frame
from firsthand_training.training.command import name_task
from firsthand_training.training.feature_cache import Description
from firsthand_training.training.training_state import load_trained_model

RUN = {"steps": 2, "batch": 4, "micro-batch": 4, "held-out": 0.4, "device": "cpu", "threads": 1}
CACHE = {"every": 1, "height": 56, "width": 84}
NETWORK = {
    "horizon": 6, "stride": 2, "rows": 4, "columns": 6, "channels": 8, "latent-width": 8, "width": 8,
    "dynamics-width": 8, "heads": 2, "selected": 2,
}  # fmt: skip


def words(prefix, settings):
    return [word for name, value in settings.items() for word in (f"--{prefix}{name}", str(value))]


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_episode):
    """A robot's dataset, a person's and one of video, with features that are there already."""
    root = tmp_path_factory.mktemp("data")
    for name, robot_type in (("push", "unitree_h1_2_inspire"), ("hands", "human"), ("films", "video")):
        with EpisodeWriter(root / name, EpisodeSettings(height=32, width=32, robot_type=robot_type)) as writer:
            (root / "features" / name).mkdir(parents=True)
            for number in range(2):
                episode = make_episode(number, frames=12)
                writer.start("reach")
                for row, (state, action) in enumerate(zip(episode.state, episode.action, strict=True)):
                    image = np.zeros((2, 32, 32, 3), np.uint8)
                    writer.add(Frame((row + 1) * 40_000_000, state, action, np.zeros(26), np.zeros(26), image))
                writer.save()
                np.save(root / "features" / name / f"episode_{number:06d}.npy", episode.features)
        description = asdict(Description(NAME, SOURCE_SHA256, (56, 84), 1, 25))
        (root / "features" / name / "cache.json").write_text(json.dumps(description))
    return root


@pytest.fixture
def call(data, capsys):
    threads = torch.get_num_threads()

    def run(stage, datasets, output, *more):
        paths = [str(data / name) for name in datasets]
        common = [
            "--output",
            str(output),
            "--features",
            str(data / "features"),
            *words("", RUN),
            *words("cache.", CACHE),
        ]
        network = ["method:world-model", *words("method.network.", NETWORK)]
        code = main([stage, "--episodes", *paths, *common, *map(str, more), *network])
        return code, capsys.readouterr()

    yield run
    torch.set_num_threads(threads)


def test_from_video_to_a_robot_that_also_learned_from_a_person(call, tmp_path):
    code, said = call("pretrain", ["films"], tmp_path / "pre")
    assert code == 0, said.err
    code, said = call("finetune", ["push"], tmp_path / "fine", "--from", tmp_path / "pre")
    assert code == 0, said.err
    assert "parameters taken over, 0 fresh" in said.out + said.err
    code, said = call(
        "cotrain", ["push", "hands"], tmp_path / "co", "--from", tmp_path / "fine", "--mixture.slow-down", 2
    )
    assert code == 0, said.err
    assert "human: 2 episodes" in said.out + said.err
    assert "50% of each batch, slowed down 2.00 times (wrists" in said.out + said.err
    trained = load_trained_model(tmp_path / "co" / "training_state.safetensors")
    assert set(trained.statistics) == {"video", "robot", "human"}
    last = json.loads((tmp_path / "co" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"validation/robot/action/wrist_mm", "validation/human/mean/head_deg"} <= set(last)
    assert main(["export", "--run", str(tmp_path / "co"), "--output", str(tmp_path / "checkpoint")]) == 0
    manifest = load_manifest(tmp_path / "checkpoint")
    provenance = manifest.provenance
    assert manifest.task == "reach"  # as the datasets say
    assert [each["name"] for each in provenance["sources"]] == ["robot", "human"]
    assert provenance["from"]["from"]["sources"][0]["dataset"] == "films"


@pytest.mark.parametrize(
    ("stage", "datasets", "message"),
    [
        ("pretrain", ["push"], "pretrain takes datasets of human, video; not"),
        ("finetune", ["push"], "name it with --from"),
        ("cotrain", ["push"], "at least one each of robot, human; there is none of human"),
        ("train", ["push", "push"], "datasets need names that tell them apart"),
    ],
)
def test_datasets_that_do_not_belong_into_a_stage_are_refused(stage, datasets, message, call, tmp_path):
    code, said = call(stage, datasets, tmp_path)
    assert code == 1
    assert message in said.err


def test_a_run_is_exported_for_what_its_datasets_show(tmp_path, capsys):
    with pytest.raises(CheckpointError, match=r"no tasks.json: say what the policy does with --task"):
        name_task(tmp_path)
    assert name_task(tmp_path, "push") == "push"  # of a run from before
    (tmp_path / "tasks.json").write_text('["push"]')
    assert name_task(tmp_path) == name_task(tmp_path, "push") == "push"
    assert capsys.readouterr().err == ""
    assert name_task(tmp_path, "pick_place") == "pick_place"
    assert "are of push, not of pick_place" in capsys.readouterr().err
    (tmp_path / "tasks.json").write_text('["push", "pick_place"]')
    with pytest.raises(CheckpointError, match="the tasks push, pick_place: say what"):
        name_task(tmp_path)
