"""Every way of labelling is compared on the same clips; what is there is not made again."""

import json
from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.frames import pose
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.demonstrations.human.truth import DENSE_FILE, TRUTH_FILE, DenseTruth, Truth, save_truth
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.video import VideoWriter
from firsthand_training.evaluation.label_experiment import (
    KNOWN,
    ORACLES,
    WAYS,
    LabelExperiment,
    OracleTask,
    apply_oracles,
    label_every_way,
    oracle_folder,
    tell_intrinsics,
    write_results,
)
from firsthand_training.evaluation.labels import hand_errors
from firsthand_training.hand_bones import MEAN_LENGTH
from firsthand_training.labels.camera_file import read_camera
from firsthand_training.labels.detect_hands import DetectSettings
from firsthand_training.labels.hand_rig import SHAPE, HandPose
from firsthand_training.labels.label_videos import LabelSettings
from firsthand_training.labels.landmarks import tips_in_wrist
from firsthand_training.labels.pinhole import see
from firsthand_training.labels.stage_files import LABELS, HandPoses, Labels, Scene, load_stage, save_stage
from firsthand_training.labels.to_robot_frame import CAMERA_FROM_EYES, RobotFrameSettings

N = 8
INTRINSICS = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])
ANGLES = np.array([0.6, 0.1, 0.0, 0.3, 0.4, *(0.0, 0.5, 0.7, 0.45) * 4])


@pytest.fixture(scope="module")
def truth() -> Truth:
    """A camera that stands still and looks down at two hands of the rig, which drift to the right."""
    world_from_camera = pose(matrix_from_rpy(0.0, 0.8, 0.0) @ CAMERA_FROM_EYES.T, np.array([0.0, 0.0, 1.5]))
    side, drift = np.tile([0, 1], N), 0.002 * np.repeat(np.arange(N), 2)
    position = np.column_stack([np.tile([-0.11, 0.11], N) + drift, np.full(2 * N, 0.04), np.full(2 * N, 0.55)])
    along, back = np.array([0.0, -0.6, 0.8]), np.array([0.0, -0.8, -0.6])
    rotation = np.tile(np.stack([along, np.cross(back, along), back], axis=1), (2 * N, 1, 1))
    hands, shape = HandPose(rotation, position, np.tile(ANGLES, (2 * N, 1))), np.zeros((1, SHAPE))
    cameras = np.tile(world_from_camera, (N, 1, 1))
    in_camera = np.stack([pose(turn, place) for turn, place in zip(rotation, position, strict=True)])
    wrists = (world_from_camera @ in_camera).reshape(N, 2, 4, 4)
    robot_from_world = np.tile(np.eye(4), (N, 1, 1, 1))
    robot_from_world[..., :3, 3] = -cameras[:, None, :3, 3]
    heads = np.tile(matrix_from_rpy(0.0, 0.8, 0.0), (N, 1, 1))
    tips = tips_in_wrist(hands.angles, side, shape).reshape(N, 2, 5, 3)
    return Truth(
        seed=np.array([7]),
        tone=np.array([2]),
        size=np.array([640, 480]),
        intrinsics=INTRINSICS,
        world_from_camera=cameras,
        world_from_wrist=wrists,
        keypoints_in_world=np.zeros((N, 2, 21, 3)),
        keypoints=see(hands, side, shape, INTRINSICS, None).pixels.reshape(N, 2, 21, 2),
        visible=np.ones((N, 2, 21), bool),
        state=HandState.from_poses(heads, robot_from_world @ wrists, tips).to_vector(),
        origin=cameras[:, :3, 3],
        hand_size=np.array([0.09]),
        hand_length=np.array([MEAN_LENGTH]),
    )


@pytest.fixture
def clip(truth, tmp_path):
    """A folder as `render-hands` leaves it; its video shows nothing."""
    folder = tmp_path / "clips" / "clip_00007"
    save_truth(folder / TRUTH_FILE, truth)
    table = np.full((N, 480, 640), 0.56, np.float16)
    save_truth(folder / DENSE_FILE, DenseTruth(table, np.zeros(table.shape, np.uint8)))
    with VideoWriter(folder / "clip_00007.mp4", EpisodeSettings(fps=30, width=64, height=48)) as writer:
        for level in range(N):
            writer.add(np.full((48, 64, 3), 90 + level, np.uint8))
    return folder


@pytest.fixture
def stretch(truth, tmp_path):
    """What poor stages might leave: keypoints 20 px off, a focal length too long, hands a third too far away."""
    folder, frames, one = tmp_path / "work" / KNOWN / "clip" / "clip_000", np.arange(N), np.zeros(1)
    wrong = INTRINSICS * [[1.3, 1, 1], [1, 1.3, 1], [1, 1, 1]]
    scene = Scene(
        frames, truth.size, wrong, truth.world_from_camera, np.zeros((0, 3)), one, np.array([True]), one, one + np.nan
    )
    unknown = np.full((N, 2, 58), np.nan)
    poses = HandPoses(frames, truth.keypoints + 20, np.ones((N, 2)), unknown[..., :10], unknown[..., 10:])
    state = HandState.from_vector(truth.state)
    labels = Labels(
        frames=frames,
        stamps_ns=frames * 33_333_333,
        state=replace(state, wrist_positions=1.33 * state.wrist_positions).to_vector(),
        origin=truth.origin,
        wrist_sigma=np.zeros((N, 2)),
        rotation_sigma=np.zeros((N, 2)),
        tips_sigma=np.zeros((N, 2)),
        measured=np.ones((N, 2), bool),
        scale_sigma=one,
        scale_source=np.array(["prior"]),
    )
    for name, stage in (("scene", scene), ("poses", poses), ("labels", labels)):
        save_stage(folder / f"{name}.npz", stage)
    return folder


@pytest.mark.parametrize("oracles", ORACLES)
def test_the_truth_in_place_of_stages_leaves_only_the_errors_of_the_others(oracles, stretch, clip, truth, tmp_path):
    settings = RobotFrameSettings(keypoints="mediapipe")
    task = OracleTask(stretch, oracle_folder(tmp_path / "work", oracles) / "clip" / "clip_000", clip, oracles, settings)
    path = apply_oracles(task)
    assert path == task.output / LABELS
    errors = np.median(hand_errors(load_stage(path, Labels), truth).wrist_mm)
    if set(oracles) >= {"keypoints", "size", "camera"} or "distance" in oracles:
        assert errors < 8
    else:
        assert errors > 20
    path.write_bytes(b"finished")
    assert apply_oracles(task).read_bytes() == b"finished"


def test_true_intrinsics_are_told_where_labelling_looks_for_them(clip):
    video = clip / "clip_00007.mp4"
    path = tell_intrinsics(video)
    np.testing.assert_array_equal(read_camera(video).intrinsics, INTRINSICS)
    path.write_text(json.dumps({"intrinsics": (2 * INTRINSICS).tolist()}))
    assert tell_intrinsics(video).read_text() == path.read_text()


def test_a_clip_that_cannot_be_labelled_counts_in_every_way_and_is_not_tried_again(clip, tmp_path):
    settings = LabelSettings(detect=DetectSettings(detectors="palms"))
    experiment = LabelExperiment(clip.parent, tmp_path / "work", tmp_path / "results", 2, settings)
    columns, manifests, failed = label_every_way(experiment)
    assert list(columns) == [*WAYS.values(), *ORACLES.values()]
    assert all([one.labelled for one in clips] == [0.0] for clips in columns.values())
    assert failed == []
    written = write_results(experiment.output, columns, manifests, failed)
    assert [path.name for path in written] == ["labels.md", "labels.png", "labels.json"]
    text = written[0].read_text()
    assert "1 clips, 8 frames, 1 skin tones" in text
    assert text.count("| clip_00007 | no clip: no hand (8 frames) |") == len(WAYS)
    before = [manifest.path.read_text() for manifest in manifests.values()]
    label_every_way(experiment)
    assert [manifest.path.read_text() for manifest in manifests.values()] == before


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(LabelError, match="no clips with truth"):
        label_every_way(LabelExperiment(tmp_path, tmp_path / "work"))
