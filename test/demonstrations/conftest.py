import numpy as np
import pytest

from firsthand.robot.model import RobotModel
from firsthand.simulation.lockstep import LockStep
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand_training.demonstrations.robot_actor import RobotActor
from firsthand_training.demonstrations.scripted import EXPERTS


@pytest.fixture(scope="session")
def model():
    return RobotModel.load()


@pytest.fixture(scope="session")
def perform(model):
    """Let the expert of a task perform one trial with the simulated robot.

    `interfere(body, expert)` is called before every step. Returns the targets, the phases in order, and the body as it
    ended.
    """

    def run(task, variant, seed, disturbance=None, interfere=None):
        body = SimulatedBody(task, variant, seed)
        lockstep = LockStep(body, model, disturbance)
        expert = EXPERTS[task](RobotActor(body, model), seed)
        targets, phases = [], []
        while not body.success() and not body.timed_out():
            if interfere is not None:
                interfere(body, expert)
            targets.append(expert.act())
            lockstep.step(targets[-1])
            if phases[-1:] != [expert.phase]:
                phases.append(expert.phase)
        return np.array(targets), phases, body

    return run
