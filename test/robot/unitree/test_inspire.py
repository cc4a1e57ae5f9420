"""Which number is which finger, on which side: the bytes are looked at, not our own way back."""

import numpy as np
import pytest

from firsthand.errors import WireError
from firsthand.robot.description import urdf
from firsthand.robot.joints import HANDS, HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.inspire import DfxHands, FtpHands, make_hands

WIRE = ("pinky", "ring", "middle", "index", "thumb_proximal_pitch", "thumb_proximal_yaw")
DFX_SLOTS = {name: index for index, name in enumerate([*(f"R_{f}" for f in WIRE), *(f"L_{f}" for f in WIRE)])}


@pytest.fixture(scope="module")
def dfx():
    return RobotModel.load()


@pytest.fixture(scope="module")
def ftp():
    return RobotModel.load(urdf("ftp"))


def opened(model):
    return model.lower[HANDS_SLICE].copy()


def closed(model, joint):
    """All fingers open but one."""
    q = opened(model)
    q[joint] = model.upper[HANDS_SLICE][joint]
    return q


def dfx_q(payload):
    return wire.decode_sequence(payload, wire.HAND_MOTOR_CMD, 12)["q"]


@pytest.mark.parametrize("joint", range(12))
def test_each_dfx_finger_has_its_number(dfx, joint):
    slot = DFX_SLOTS[HANDS[joint].replace("_joint", "").replace("_proximal", "", 0 if "thumb" in HANDS[joint] else 1)]
    (payload,) = DfxHands(dfx).write_command(closed(dfx, joint))
    expected = np.ones(12)
    expected[slot] = 0.0
    np.testing.assert_allclose(dfx_q(payload), expected, atol=1e-6)


def test_the_right_hand_comes_first_on_the_wire_of_the_dfx_hands(dfx):
    left_fist = opened(dfx)
    left_fist[:6] = dfx.upper[HANDS_SLICE][:6]
    (payload,) = DfxHands(dfx).write_command(left_fist)
    np.testing.assert_allclose(dfx_q(payload), [1] * 6 + [0] * 6, atol=1e-6)


def test_the_scale_of_the_dfx_hands_is_the_one_in_use(dfx):
    """Fingers 0..1.7 rad, thumb bend 0..0.5, thumb turn -0.1..1.3: (max - v) / (max - min)."""
    left = [0.6, 0.2, 0.17, 0.34, 0.51, 0.68]  # thumb turn, bend, index, middle, ring, little
    (payload,) = DfxHands(dfx).write_command(np.array(left * 2))
    one_hand = [0.6, 0.7, 0.8, 0.9, 0.6, 0.5]  # little, ring, middle, index, bend, turn
    np.testing.assert_allclose(dfx_q(payload), one_hand * 2, atol=1e-6)


@pytest.mark.parametrize("joint", range(12))
def test_each_ftp_finger_has_its_number_and_each_hand_its_topic(ftp, joint):
    hands = FtpHands(ftp)
    assert [topic.name[-1] for topic in hands.command_topics] == ["l", "r"]
    assert [topic.name[-1] for topic in hands.state_topics] == ["l", "r"]
    payloads = hands.write_command(closed(ftp, joint))
    angles = [wire.decode_touch_hand(one, wire.TOUCH_HAND_CMD)[0]["angle_set"].tolist() for one in payloads]
    expected = [[1000] * 6, [1000] * 6]
    expected[joint // 6][5 - joint % 6] = 0
    assert angles == expected
    assert all(wire.decode_touch_hand(one, wire.TOUCH_HAND_CMD)[1] == 1 for one in payloads)


@pytest.mark.parametrize("kind", ["dfx", "ftp"])
def test_commands_and_states_are_read_as_they_were_written(request, kind):
    model = request.getfixturevalue(kind)
    hands = make_hands(model)
    assert isinstance(hands, DfxHands if kind == "dfx" else FtpHands)
    rng = np.random.default_rng(0)
    q = rng.uniform(model.lower[HANDS_SLICE], model.upper[HANDS_SLICE])
    for write, read in [(hands.write_command, hands.read_command), (hands.write_state, hands.read_state)]:
        for index, (payload, part) in enumerate(zip(write(q), hands.parts, strict=True)):
            np.testing.assert_allclose(read(index, payload), q[part], atol=1e-3)


def test_angles_beyond_the_limits_are_sent_as_the_limits(dfx):
    (payload,) = DfxHands(dfx).write_command(np.full(12, 9.0))
    np.testing.assert_array_equal(dfx_q(payload), 0.0)


def test_what_is_not_finite_is_refused(dfx):
    states = np.zeros(12, wire.HAND_MOTOR_STATE)
    states["q"][3] = np.nan
    with pytest.raises(WireError, match="not finite"):
        DfxHands(dfx).read_state(0, wire.encode_sequence(states))


def test_an_ftp_hand_that_reports_five_fingers_is_refused(ftp):
    payload = wire.encode_touch_hand({"angle_act": np.arange(5)}, wire.TOUCH_HAND_STATE, None)
    with pytest.raises(WireError, match="5 finger angles"):
        FtpHands(ftp).read_state(0, payload)


def test_an_ftp_command_leaves_alone_what_it_does_not_name(ftp):
    hands = FtpHands(ftp)
    partly = wire.encode_touch_hand({"angle_set": np.array([-1, 1000, -1, -1, -1, 0])}, wire.TOUCH_HAND_CMD, 1)
    angles = hands.read_command(1, partly)
    np.testing.assert_allclose(angles, [1.1641, np.nan, np.nan, np.nan, 0.0, np.nan], atol=1e-6)
    by_force = wire.encode_touch_hand({"force_set": np.full(6, 500)}, wire.TOUCH_HAND_CMD, 4)
    assert np.isnan(hands.read_command(0, by_force)).all()
