"""Every exception raised on purpose.

FirsthandError
├── ShapeError            an array of another shape than the 54 numbers, an image, a joint vector
├── FrameNotFound         a name that the robot model does not have
├── ModelError            the robot description is not what the code expects
├── CheckpointError       a checkpoint folder that is missing, damaged or of another convention
├── TrainingError         a training run that cannot go on as it is
├── EpisodeError          a dataset folder that is missing, damaged or of another convention
├── BagError              a bag that is missing, truncated or has no such topic
├── LaunchError           a launch file that our runner cannot start
├── InferenceError        a graph that cannot run as asked, or lost too much precision
│   └── ProviderError     no such provider in this build of ONNX Runtime, or it does not start
├── LabelError            a video, or what a stage of labelling made of it, that cannot be used
├── HeadsetError          what a headset sends, or a recording of it, that cannot be used
├── ImageError            a frame that is not what the camera info promised
├── RobotError            the robot cannot be reached, or is not in a state to be driven
│   └── WireError         bytes on the robot's wire that are no message of its
├── CameraError           a camera that cannot be opened, or fails while it runs
├── CalibrationError      a calibration file, or measurements for one, that cannot be used
└── SimulationError       a scene or task that cannot be built

Each message says what came, what was expected and what would work.
"""

from collections.abc import Iterable


class FirsthandError(Exception):
    """Base of every exception that this project raises on purpose."""


class ShapeError(FirsthandError, ValueError):
    """An array has another shape than the one its meaning asks for."""


class FrameNotFound(FirsthandError, KeyError):  # noqa: N818 -- reads as what happened
    """A frame or joint name that the robot model does not have."""

    def __init__(self, name: str, known: Iterable[str], kind: str = "frame") -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(f"no {kind} {name!r} in the robot model; it has {', '.join(self.known)}")

    def __str__(self) -> str:
        return str(self.args[0])


class ModelError(FirsthandError, ValueError):
    """The robot description is not what the code expects."""


class CheckpointError(FirsthandError, ValueError):
    """A checkpoint folder is missing, damaged or of another convention."""


class TrainingError(FirsthandError, RuntimeError):
    """A training run cannot go on as it is."""


class EpisodeError(FirsthandError, ValueError):
    """A dataset folder is missing, damaged or of another convention."""


class BagError(FirsthandError, ValueError):
    """A bag is missing, truncated or lacks a topic."""


class LaunchError(FirsthandError, ValueError):
    """A launch file that the runner cannot start."""


class InferenceError(FirsthandError, ValueError):
    """A graph cannot run as asked, or is too far from what it was made of."""


class ProviderError(InferenceError):
    """What a graph should run on is not in this build of ONNX Runtime, or does not start."""


class LabelError(FirsthandError, ValueError):
    """A video, or what a stage of labelling made of it, cannot be used."""


class ImageError(FirsthandError, ValueError):
    """A frame is not what the camera info promised."""


class HeadsetError(FirsthandError, ValueError):
    """What a headset sends, or a recording of it, cannot be used."""


class RobotError(FirsthandError, RuntimeError):
    """The robot cannot be reached, or is not in a state to be driven."""


class WireError(RobotError):
    """Bytes on the robot's wire that are no message of an H1-2 or of its hands."""


class CameraError(FirsthandError, OSError):
    """A camera cannot be opened, or fails while it runs."""


class CalibrationError(FirsthandError, ValueError):
    """A calibration file, or measurements for one, cannot be used."""


class SimulationError(FirsthandError, ValueError):
    """A scene or a task cannot be built."""
