"""Programs that we did not write drive the fake robot, over the DDS libraries that they bring."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ELBOW, SHOULDER = 23, 13  # right, left
TIMEOUT = 120.0  # [s], generous: it only passes when a test fails


PACKAGES = {"unitree_interface": "far-unitree-sdk==0.1.8", "unitree_sdk2py": "unitree-sdk2py-dimos==1.0.3"}


@pytest.fixture
def needs(request):
    """Skips, before anything is started, where the test's package is not installed."""
    package = request.param
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: python -m pip install --no-deps {PACKAGES[package]}")


FAR = pytest.mark.parametrize("needs", ["unitree_interface"], indirect=True)
SDK = pytest.mark.parametrize("needs", ["unitree_sdk2py"], indirect=True)


def run_client(script, domain):
    """What a client printed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(HERE / script), str(domain)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def moved(before, after):
    """Which of the 27 motors moved by more than 0.15 rad, and how far."""
    change = np.subtract(after, before)[:27]
    return {int(slot): round(float(change[slot]), 2) for slot in np.flatnonzero(np.abs(change) > 0.15)}


@FAR
def test_far_unitree_sdk_drives_it_in_debug_mode(needs, fake_robot, dds_domain):
    robot = fake_robot("--mode", "debug", "--hand", "none")
    seen = run_client("far_client.py", dds_domain)
    assert seen["mode_machine"] == 6
    assert seen["temperature"][:27] == [35] * 27
    assert list(moved(seen["before"], seen["after"])) == [ELBOW]
    assert "dropped: none" in robot.end()


@FAR
def test_far_unitree_sdk_is_not_obeyed_in_sport_mode(needs, fake_robot, dds_domain):
    robot = fake_robot("--hand", "none")
    seen = run_client("far_client.py", dds_domain)
    assert moved(seen["before"], seen["after"]) == {}
    assert "rt/lowcmd: not in sport mode" in robot.end()


@SDK
def test_unitree_sdk2py_drives_arms_and_hands_and_changes_the_mode(needs, fake_robot, dds_domain):
    robot = fake_robot("--strict")
    seen = run_client("sdk_client.py", dds_domain)
    assert (seen["mode before"], seen["mode after"]) == ("ai", "")
    assert list(moved(seen["start"], seen["after arm_sdk"])) == [SHOULDER]
    assert ELBOW in moved(seen["after arm_sdk"], seen["after lowcmd"])
    change = np.subtract(seen["fingers after"], seen["fingers before"])
    assert np.flatnonzero(np.abs(change) > 0.2).tolist() == [3]  # the right index finger
    assert seen["bad checksums"] == 0
    assert seen["states"] > 100
    assert "dropped: none" in robot.end()


@SDK
def test_types_of_unitree_sdk2py_are_ours_to_every_peer(needs, cyclonedds):
    """Discovery compares names and layouts; with the SDK installed its own types are used."""
    from unitree_sdk2py.idl.unitree_go.msg.dds_ import MotorCmds_, MotorStates_
    from unitree_sdk2py.idl.unitree_hg.msg.dds_ import LowCmd_, LowState_

    from firsthand.robot.unitree import idl

    for theirs in (LowCmd_, LowState_, MotorCmds_, MotorStates_):
        ours = idl.OURS[theirs.__name__]
        assert idl.TYPES[theirs.__name__] is theirs
        for one in (ours, theirs):
            one.__idl__.populate()
            one.__idl__.fill_type_data()
        assert ours.__idl_typename__ == theirs.__idl_typename__
        assert ours.__idl__._xt_bytedata == theirs.__idl__._xt_bytedata, theirs.__name__
