import numpy as np
import pytest

from firsthand.errors import EpisodeError
from firsthand.simulation import renderer
from firsthand.simulation.tasks.surroundings import UNSEEN_TABLES, UNSEEN_WALLS
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between
from firsthand_training.demonstrations import scripted
from firsthand_training.demonstrations.human import demonstration
from firsthand_training.demonstrations.human.places import TABLE_PATTERNS, WALL_PATTERNS, redecorate
from firsthand_training.demonstrations.scripted import DemonstrationSettings, record_demonstrations
from firsthand_training.episodes.check import check_dataset
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.merge import merge_datasets
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.write import EpisodeWriter

SMALL = EpisodeSettings(robot_type="human", joint_names=(), origin=True, height=90, width=160)
LENGTH = 14


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The first moments of two people, as a dataset: small pictures, since these tests are not about them."""
    root = tmp_path_factory.mktemp("people") / "episodes"

    class SmallRenderer(renderer.StereoRenderer):
        def __init__(self, scene):
            super().__init__(scene, SMALL.width, SMALL.height)

    with pytest.MonkeyPatch.context() as patch, EpisodeWriter(root, SMALL) as writer:
        patch.setattr(demonstration, "StereoRenderer", SmallRenderer)
        for seed in range(2):
            writer.start("push")
            trial = demonstration.demonstrate_person(scripted.EXPERTS["push"], "human", "push", "id", seed)
            for (frame, _), _ in zip(trial, range(LENGTH), strict=False):
                writer.add(frame)
            writer.save()
    return root


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
