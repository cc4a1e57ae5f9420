"""The library that comes with Tracking Streamer reads our fake headset. It brings 46 packages, so it is not installed
with the tests: put it into a folder of its own and name that in FIRSTHAND_AVP_STREAM (docs/hardware.md)."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from firsthand.headset.fake_tracking_streamer import device_update
from firsthand.headset.hand_frames import hand_state
from firsthand.headset.hand_motion import GeneratedMotion, RecordedMotion
from firsthand.headset.hands_sample import TIPS
from firsthand.headset.recording import HandsSample

FOLDER = os.environ.get("FIRSTHAND_AVP_STREAM", "")
PORT = 12345  # the library knows no other

CLIENT = """
import json, time
from avp_stream import VisionProStreamer
streamer = VisionProStreamer(ip="127.0.0.1", record=False)
end = time.time() + 30
while time.time() < end and streamer.get_latest() is None:
    time.sleep(0.05)
seen = streamer.get_latest()
names = ("head", "left_wrist", "right_wrist", "left_fingers", "right_fingers")
print("SEEN " + json.dumps({name: seen[name].tolist() for name in names}), flush=True)
import os; os._exit(0)
"""

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="needs avp_stream in the folder FIRSTHAND_AVP_STREAM"),
    pytest.mark.slow,
]


def still_person():
    """A wearer who does not move, so that whoever looks sees the same."""
    person = GeneratedMotion("reach").at(1.0)
    joints = person.wrists[:, None] @ person.joints
    return RecordedMotion([HandsSample(stamp, person.head, joints, (True, True)) for stamp in (0, 10**7)])


def test_avp_stream_sees_what_our_reader_sees(serve, listen, wait):
    person = still_person()
    server = serve(person, port=PORT)
    ours = listen(server)
    environment = {**os.environ, "PYTHONPATH": FOLDER}
    result = subprocess.run(
        [sys.executable, "-c", CLIENT], env=environment, capture_output=True, text=True, timeout=120
    )
    line = next((line for line in result.stdout.splitlines() if line.startswith("SEEN ")), None)
    assert line is not None, result.stdout[-2000:] + result.stderr[-2000:]
    theirs = {name: np.array(value) for name, value in json.loads(line[5:]).items()}
    wait(lambda: ours.samples, "samples")
    sample = ours.samples[-1]
    # Their world is x right, y forward, z up: ours turned by a quarter.
    ours_from_theirs = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(ours_from_theirs @ theirs["head"][0, :3, 3], sample.world_from_head[:3, 3], atol=1e-5)
    update = device_update(person.at(0.0))
    for side, name in enumerate(("left", "right")):
        wrist, fingers = theirs[f"{name}_wrist"][0], theirs[f"{name}_fingers"]
        np.testing.assert_allclose(fingers, np.float32(update.joints[side]), atol=1e-6)
        places = (ours_from_theirs @ (wrist[:3, :3] @ fingers[:, :3, 3].T + wrist[:3, 3:])).T
        np.testing.assert_allclose(places, sample.world_from_joints[side, :, :3, 3], atol=1e-5)
    left, right = hand_state(sample).wrist_positions
    assert left[1] > right[1]
    assert theirs["left_wrist"][0, 0, 3] < theirs["right_wrist"][0, 0, 3]  # x right
    assert np.linalg.norm(theirs["left_fingers"][list(TIPS), :3, 3], axis=1).min() > 0.05
