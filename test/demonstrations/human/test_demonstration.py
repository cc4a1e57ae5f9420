from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import EpisodeError
from firsthand.simulation import renderer
from firsthand.simulation.tasks.surroundings import UNSEEN_TABLES, UNSEEN_WALLS
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between
from firsthand_training.demonstrations import scripted
from firsthand_training.demonstrations.human import demonstration
from firsthand_training.demonstrations.human.label_noise import LabelNoise, LabelNoiseSettings
from firsthand_training.demonstrations.human.person import Person
from firsthand_training.demonstrations.human.places import TABLE_PATTERNS, WALL_PATTERNS, redecorate
from firsthand_training.demonstrations.scripted import DemonstrationSettings, record_demonstrations
from firsthand_training.episodes import layout
from firsthand_training.episodes.check import check_dataset
from firsthand_training.episodes.label_quality import label_quality
from firsthand_training.episodes.layout import COPY_OF
from firsthand_training.episodes.merge import merge_datasets
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.tables import read_frames
from firsthand_training.episodes.write import EpisodeWriter
from firsthand_training.labels.write_episodes import WriteSettings

HEIGHT, WIDTH = 90, 160
LENGTH = 14


def record(kind, root, length, seeds=range(2)):
    """The first moments of some people as `demos` records them, in small pictures: these tests are not about them."""

    class SmallRenderer(renderer.StereoRenderer):
        def __init__(self, scene, **options):
            super().__init__(scene, WIDTH, HEIGHT, **options)

    settings = replace(scripted.PEOPLE[kind], height=HEIGHT, width=WIDTH)
    with pytest.MonkeyPatch.context() as patch, EpisodeWriter(root, settings) as writer:
        patch.setattr(demonstration, "StereoRenderer", SmallRenderer)
        for seed in seeds:
            writer.start("push")
            noise = LabelNoiseSettings() if kind == "video" else None
            expert = scripted.EXPERTS["push"]
            trial = demonstration.demonstrate_person(expert, kind, "push", "id", seed, label_noise=noise)
            for (frame, _), _ in zip(trial, range(length), strict=False):
                writer.add(frame)
            writer.save()
    return root


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return record("human", tmp_path_factory.mktemp("people") / "episodes", LENGTH)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return record("video", tmp_path_factory.mktemp("video") / "episodes", 4)


def test_episodes_of_people_are_read_back_without_joints(dataset):
    episodes = Episodes.open(dataset)
    assert episodes.info["robot_type"] == "human"
    assert episodes.joint_names == ()
    data = episodes.episode(0)
    assert data.state.shape == (LENGTH, 54)
    assert data.joints.shape == data.action_joints.shape == (LENGTH, 0)
    assert next(episodes.stereo_frames(0)).shape == (2, 90, 160, 3)
    assert not check_dataset(dataset, decode=True).errors


def test_datasets_of_people_are_merged(dataset, tmp_path):
    merged = Episodes.open(merge_datasets([dataset, dataset], tmp_path / "all"))
    np.testing.assert_array_equal(merged.episode(3).action, Episodes.open(dataset).episode(1).action)


def test_the_action_is_where_the_hands_are_a_frame_later(dataset):
    data = Episodes.open(dataset).episode(0)
    action, following = HandState.from_vector(data.action[:-1]), HandState.from_vector(data.state[1:])
    moved = np.diff(data.origin, axis=0)[:, None]  # F_R goes with the head: what was there is nearer now
    assert 1e-4 < np.abs(moved).max() < 0.02
    np.testing.assert_allclose(action.wrist_positions, following.wrist_positions + moved, atol=2e-6)
    assert angle_between(action.wrist_rotations, following.wrist_rotations).max() < 1e-3
    np.testing.assert_allclose(action.fingertips_in_wrist, following.fingertips_in_wrist, atol=1e-6)


def test_the_head_moves(dataset):
    rotations = HandState.from_vector(Episodes.open(dataset).episode(0).state).head_rotation
    assert angle_between(rotations, rotations[0]).max() > 0.02


def test_two_eyes_of_a_demonstrator_see_two_pictures(dataset):
    left, right = next(Episodes.open(dataset).stereo_frames(0)).astype(int)
    assert np.abs(left - right).mean() > 1
    assert Episodes.open(dataset).episode(0).quality is None  # tracked, not labelled


def test_a_video_has_one_eye_where_its_robot_frame_is(video):
    """As in episodes from labelled video: both views are its picture, and the description says so."""
    episodes = Episodes.open(video)
    left, right = next(episodes.stereo_frames(0))
    np.testing.assert_array_equal(left, right)
    assert left.std() > 10
    assert episodes.info["features"]["observation.images.right"]["info"][COPY_OF] == "observation.images.left"
    assert Person.draw("video", 0).baseline == 0


def test_a_video_has_the_columns_of_labelled_ones(video):
    labelled = layout.features(replace(WriteSettings().episodes, height=HEIGHT, width=WIDTH))
    assert Episodes.open(video).info["features"].keys() == labelled.keys()
    assert not check_dataset(video, decode=True).errors


def test_the_worse_a_clip_is_labelled_the_less_its_labels_count(video):
    episodes = Episodes.open(video)
    for number in range(2):
        noise = LabelNoise(number, LENGTH, 25.0)
        quality = episodes.episode(number).quality
        np.testing.assert_allclose(quality, label_quality(*noise.sigma.reshape(3, 2)), rtol=1e-6)
        columns = read_frames(episodes.record(number).data_path(episodes.root), number)
        np.testing.assert_allclose(columns[layout.SIGMA], np.tile(noise.sigma, (4, 1)), rtol=1e-6)
    first, second = (episodes.episode(number).quality[0] for number in range(2))
    assert first != second
    assert 0.2 < min(first, second) < max(first, second) < 0.95


def test_an_embodiment_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(EpisodeError, match="no embodiment 'ghost'; there are robot, human, video"):
        record_demonstrations(DemonstrationSettings(tmp_path / "x", embodiment="ghost"))


def test_videos_have_rooms_of_their_own_and_the_same_task():
    setup = demonstration.find_task("push").draw("id", np.random.default_rng(0))
    first, second = (redecorate(setup, np.random.default_rng(seed)) for seed in range(2))
    assert first.surroundings.table != second.surroundings.table != setup.surroundings.table
    assert [part.shape for part in first.objects[0].parts] == [part.shape for part in setup.objects[0].parts]
    assert first.objects[0].position == setup.objects[0].position


def test_every_part_of_a_box_gets_its_new_colour_and_no_room_an_unfamiliar_pattern():
    setup = demonstration.find_task("open_box").draw("id", np.random.default_rng(0))
    box, painted = setup.objects[0], redecorate(setup, np.random.default_rng(1)).objects[0]
    for before, after in ((box, painted), *zip(box.hinges, painted.hinges, strict=True)):
        assert all(a.surface != b.surface for a, b in zip(before.parts, after.parts, strict=True))
    unseen = {pattern for palette in (UNSEEN_TABLES, UNSEEN_WALLS) for pattern, *_ in palette}
    assert not unseen & {pattern for pattern, _ in (*TABLE_PATTERNS, *WALL_PATTERNS)}
