"""The process that renders what the fake robot's head sees, and serves it as a stereo camera on USB does.

It is a process of its own, so that the 500 Hz of the robot never wait for a picture; it ends when the robot closes the
pipe, however that happens. Nothing is rendered while nobody looks.

The pair is rendered as policies were trained on it, 640x360 without distortion, and sent as a ZED sends it: 1280x720,
through lenses that the factory's file describes.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import FirsthandError
from firsthand.realtime import stand_back
from firsthand.simulation.fake_robot.camera_pipe import SCENE, RecordReader, read_state
from firsthand.simulation.fake_robot.camera_settings import HeadCameraSettings
from firsthand.simulation.fake_robot.lenses import FakeLenses
from firsthand.simulation.renderer import HEIGHT, WIDTH, StereoRenderer, intrinsics
from firsthand.simulation.scene import Scene, build_scene
from firsthand.simulation.scene_name import SceneName
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.sources.picture_stream import PictureServer, PictureStream, as_yuyv
from firsthand.vision.zed_calibration import write_zed_calibration

Picture = NDArray[np.uint8]

CAPTURE_WIDTH, CAPTURE_HEIGHT = 1280, 720  # [px], of one view: a ZED's HD720
NICENESS = 5  # on a computer with too few cores the robot's loop comes first
LOOK_UP = 0.1  # [s] after which waiting looks up: has the reader gone, or the robot?


class HeadCameraServer:
    """Renders and serves until the robot closes the pipe.

    Args:
        settings: Where, how often.
        records: From the robot.
        say: Tells the robot a line.
    """

    def __init__(self, settings: HeadCameraSettings, records: RecordReader, say: "Speaker") -> None:
        self._records, self._say = records, say
        self._scene, self._renderer = _open(self._first_scene())
        self._lenses = FakeLenses(ideal_intrinsics(self._scene), CAPTURE_WIDTH, CAPTURE_HEIGHT)
        _write(settings.calibration_file, write_zed_calibration(self._lenses.calibration))
        self._server = PictureServer(settings.port, CAPTURE_WIDTH, CAPTURE_HEIGHT, settings.rate)
        self._asked = self._sent = 0
        self._seconds = 0.0  # that the last picture took
        say(f"ready {self._server.address} {settings.calibration_file.absolute()}")

    def run(self) -> None:
        """Serve one reader after the other."""
        while not self._records.ended:
            stream = self._server.accept(LOOK_UP)
            if stream is None:
                self._take(0.0)
                continue
            with stream:
                for stamp_us in self._states(stream):
                    started = time.perf_counter()
                    stream.send(as_yuyv(*self._lenses.take(self._renderer.render())), stamp_us)
                    self._seconds = time.perf_counter() - started
                    self._sent += 1
            self._say("idle")

    def close(self) -> None:
        """Give the OpenGL context and the port back."""
        self._server.close()
        self._renderer.close()

    def _states(self, stream: PictureStream) -> Iterator[int]:
        """The stamps [us] of states asked for one by one, the scene put as they say; ends with reader or robot."""
        while not self._records.ended:
            self._asked += 1
            self._say(f"want {self._asked} {self._sent} {self._seconds:.4f}")
            stamp_us = None
            while stamp_us is None and not self._records.ended:
                if stream.closed:
                    return
                stamp_us = self._take(LOOK_UP)
            if stamp_us is not None:
                yield stamp_us

    def _take(self, timeout: float) -> int | None:
        """Do what the next record says; the stamp [us] if it is the state that was asked for last."""
        record = self._records.next(timeout)
        if record is None:
            return None
        kind, contents = record
        if kind == SCENE:
            self._renderer.close()
            self._scene, self._renderer = _open(contents)
            return None
        number, stamp_us, qpos = read_state(contents)
        if number != self._asked:  # of a reader that has gone meanwhile
            return None
        self._scene.set_state(dict(zip(self._scene.state_names, qpos.tolist(), strict=True)))
        return stamp_us

    def _first_scene(self) -> bytes:
        while not self._records.ended:
            record = self._records.next(LOOK_UP)
            if record is not None and record[0] == SCENE:
                return record[1]
        raise SystemExit(0)


class Speaker:
    """Says lines to the robot; that it has gone is noticed elsewhere."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, line: str) -> None:
        """Say one line."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._descriptor, f"{line}\n".encode())


def ideal_intrinsics(scene: Scene) -> Intrinsics:
    """What policies were trained on."""
    return Intrinsics(WIDTH, HEIGHT, *intrinsics(scene))


def _open(name: bytes) -> tuple[Scene, StereoRenderer]:
    wanted = SceneName.parse(name.decode())
    scene = build_scene(wanted.task, wanted.variant, wanted.seed)
    return scene, StereoRenderer(scene, WIDTH, HEIGHT)


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def main() -> int:
    """Serve the robot at the other end of stdin and stdout; its settings are the one argument."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a terminal tells everybody, but the robot decides
    stand_back(NICENESS)
    say = Speaker(os.dup(sys.stdout.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is not for the robot
    records = RecordReader(sys.stdin.buffer)
    try:
        server = HeadCameraServer(HeadCameraSettings.from_json(sys.argv[1]), records, say)
    except (FirsthandError, OSError) as error:
        say(f"failed {error}")
        return 1
    try:
        server.run()
    except FirsthandError as error:
        say(f"failed {error}")
        return 1
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
