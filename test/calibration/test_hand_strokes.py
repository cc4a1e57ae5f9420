import numpy as np
import pytest

from firsthand.calibration.hand_strokes import fit_strokes
from firsthand.command import main
from firsthand.errors import CalibrationError
from firsthand.robot.description import urdf
from firsthand.robot.hand_strokes import IN_USE, NOT_IN_USE, HandStrokes, read_strokes, write_strokes
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel

OPEN = np.linspace(0.93, 0.99, 12)
CLOSED = np.linspace(0.02, 0.08, 12)
RATE = 100.0  # [Hz]


def exercise(rounds=3):
    """Times and what the fingers are told: one after another, closed for 1 s and open for 1 s."""
    told = [np.ones(12)] * int(RATE)
    for _ in range(rounds):
        for finger in range(12):
            closed = np.ones(12)
            closed[finger] = 0.0
            told += [closed] * int(RATE) + [np.ones(12)] * int(RATE)
    told = np.array(told)
    return np.arange(len(told)) / RATE, told


def fingers(told, open_at=OPEN, closed_at=CLOSED):
    """Fingers that lag by 0.1 s and have their own ends."""
    reported, state = np.empty_like(told), told[0].copy()
    for k, wanted in enumerate(told):
        state = state + (wanted - state) * (1 - np.exp(-1 / (0.1 * RATE)))
        reported[k] = state
    return closed_at + reported * (open_at - closed_at)


def test_the_ends_of_every_finger_are_found():
    times, told = exercise()
    fit = fit_strokes(times, told, fingers(told), "dfx")
    np.testing.assert_allclose(fit.strokes.open, OPEN, atol=0.005)
    np.testing.assert_allclose(fit.strokes.closed, CLOSED, atol=0.005)
    assert fit.times.min() == 3
    assert "left index" in str(fit)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: np.c_[r[:, 6:], r[:, :6]], "left index.*left and right hands are swapped"),
        (lambda r: np.c_[np.full(len(r), 0.9), r[:, 1:]], "left thumb_yaw .*is it stuck"),
        (lambda r: np.c_[r[:, :2], 1 - r[:, 2:3], r[:, 3:]], "left index .*open and closed swapped"),
        (lambda r: np.where(np.arange(len(r))[:, None] > 5000, 0.7 * r, r), "apart from one time to the next"),
        (lambda r: np.full_like(r, np.nan), "expected finite"),
    ],
    ids=["swapped hands", "stuck", "inverted", "held", "nan"],
)
def test_hands_that_do_something_else_are_refused_by_name(spoil, message):
    times, told = exercise()
    with pytest.raises(CalibrationError, match=message):
        fit_strokes(times, told, spoil(fingers(told)), "dfx")


def test_a_finger_that_was_never_closed_is_named():
    times, told = exercise()
    told[:, 8] = 1.0
    with pytest.raises(CalibrationError, match="right index was never told to be closed"):
        fit_strokes(times, told, fingers(told), "dfx")


def test_a_recording_gives_the_same_ends(record, tmp_path, capsys):
    model = RobotModel.load()
    times, told = exercise(rounds=1)
    lower, upper = model.lower[HANDS_SLICE], model.upper[HANDS_SLICE]
    for now, wanted, found in zip(times, told, fingers(told), strict=True):
        for topic, openness in (("motor_command", wanted), ("joint_states", found)):
            q = model.neutral.copy()
            q[HANDS_SLICE] = upper - openness * (upper - lower)
            record.joints(topic, round((1 + now) * 1e9), q)
    record.close()
    assert main(["calibrate", "hands", str(record.path), "--output", str(tmp_path / "strokes.yaml")]) == 0
    assert "right little" in capsys.readouterr().out
    strokes = read_strokes(tmp_path / "strokes.yaml")
    np.testing.assert_allclose(strokes.open, OPEN, atol=0.005)
    np.testing.assert_allclose(strokes.closed, CLOSED, atol=0.005)


def write_exercise(record, hand="dfx"):
    """One round, as the body tells it."""
    model = RobotModel.load(urdf(hand))
    times, told = exercise(rounds=1)
    lower, upper = model.lower[HANDS_SLICE], model.upper[HANDS_SLICE]
    for now, wanted, found in zip(times[::5], told[::5], fingers(told)[::5], strict=True):
        for topic, openness in (("motor_command", wanted), ("joint_states", found)):
            q = model.neutral.copy()
            q[HANDS_SLICE] = upper - openness * (upper - lower)
            record.joints(topic, round((1 + now) * 1e9), q, model.joints)


def test_the_hand_of_a_recording_is_told_by_its_joints(record, tmp_path, capsys):
    write_exercise(record, "ftp")
    record.close()
    command = ["calibrate", "hands", str(record.path), "--output", str(tmp_path / "strokes.yaml")]
    assert main(command) != 0
    assert "joints of a robot with ftp hands came, dfx hands were expected" in capsys.readouterr().err
    assert not (tmp_path / "strokes.yaml").exists()
    assert main([*command, "--hand", "ftp"]) == 0
    assert read_strokes(tmp_path / "strokes.yaml").hand == "ftp"


def test_a_recording_made_with_strokes_in_use_is_refused(record, tmp_path, capsys):
    """Its angles are between the fingers' ends already: calibrated from them, hands would seem to go from 1 to 0."""
    write_exercise(record)
    record.diagnostics(10**9, "body: robot", {"weight": "1.0", IN_USE: "old.yaml"})
    record.close()
    assert main(["calibrate", "hands", str(record.path), "--output", str(tmp_path / "strokes.yaml")]) != 0
    assert "strokes of old.yaml in use" in capsys.readouterr().err


def test_a_recording_made_without_strokes_says_so_and_will_do(record, tmp_path):
    write_exercise(record)
    record.diagnostics(10**9, "body: robot", {IN_USE: NOT_IN_USE})
    record.close()
    assert main(["calibrate", "hands", str(record.path), "--output", str(tmp_path / "strokes.yaml")]) == 0


def test_strokes_go_through_their_file_and_both_ways(tmp_path):
    strokes = read_strokes(write_strokes(tmp_path / "strokes.yaml", HandStrokes("ftp", OPEN, CLOSED)))
    assert strokes.hand == "ftp"
    np.testing.assert_allclose(strokes.open, OPEN, atol=1e-4)
    openness = np.random.default_rng(0).uniform(0, 1, (5, 12))
    np.testing.assert_allclose(strokes.openness(strokes.command(openness)), openness, atol=1e-9)
    np.testing.assert_array_equal(HandStrokes.nominal().command(openness), openness)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("hand_strokes/1", "hand_strokes/9"), "expected 'firsthand/hand_strokes/1'"),
        (lambda t: t.replace("hand: dfx", "hand: claw"), "no hand 'claw'"),
        (lambda t: t.replace("index:", "pointer:"), "left index is None"),
        (lambda t: t.replace("open: 0.93", "open: .nan"), "left thumb_yaw is"),
        (lambda t: t.replace("open: 0.93", "open: 1000"), "left thumb_yaw reports 1e.03 open"),
        (lambda t: "[" * 5000, "cannot read|is of format"),
        (lambda t: "format: firsthand/hand_strokes/1\nleft: 3\n", "left thumb_yaw is None"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, change, message):
    path = write_strokes(tmp_path / "strokes.yaml", HandStrokes("dfx", OPEN, CLOSED))
    path.write_text(change(path.read_text()))
    with pytest.raises(CalibrationError, match=message):
        read_strokes(path)
