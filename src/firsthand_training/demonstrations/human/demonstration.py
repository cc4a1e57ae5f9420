"""One trial of a person, frame by frame, as an episode records it.

A person is not commanded: the action at t is where head and hands are at t+1, seen from F_R as it is at t. A `video`
has one eye, where F_R is: both views show its picture, as in episodes that are labelled from real ones.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.disturbance import Disturbance, DisturbanceSettings
from firsthand.simulation.lockstep import RATE
from firsthand.simulation.renderer import StereoRenderer
from firsthand.simulation.scene import generator
from firsthand.simulation.tasks import check_variant, find_task
from firsthand.simulation.tasks.interface import Setup, Task
from firsthand.space.frames import inverse
from firsthand.space.hand_state import HandState
from firsthand_training.demonstrations.actor import Actor, Expert
from firsthand_training.demonstrations.human.actor import HumanActor
from firsthand_training.demonstrations.human.body import HumanBody
from firsthand_training.demonstrations.human.label_noise import LabelNoise, LabelNoiseSettings
from firsthand_training.demonstrations.human.person import Person
from firsthand_training.demonstrations.human.places import redecorate
from firsthand_training.episodes.label_quality import label_quality
from firsthand_training.episodes.write import Frame

Array = NDArray[np.floating]

TREMOR = DisturbanceSettings(position_spread=0.002, rotation_spread=0.015, time_constant=0.2, rate=RATE)
"""How far a person's hand is off where it was to go."""


def demonstrate_person(
    make_expert: Callable[[Actor, int], Expert],
    kind: str,
    task: str,
    variant: str,
    seed: int,
    rest: float = 0.6,
    label_noise: LabelNoiseSettings | None = None,
) -> Iterator[tuple[Frame, bool]]:
    """One trial, frame by frame, each with whether the task had been done by then.

    Args:
        make_expert: Of the task, from an actor and a seed.
        kind: `human` or `video`; see `person.py`.
        task: Its name.
        variant: `id` or `ood`.
        seed: Of scene, person and expert.
        rest: How long to go on after success, [s].
        label_noise: Errors of the hand states that are recorded; None for exact ones.

    Raises:
        SimulationError: There is no such kind, task or variant, or the person has no place at this table.
    """
    body = human_body(kind, task, variant, seed)
    expert = make_expert(HumanActor(body), seed)
    tremor = Disturbance(seed, TREMOR)
    label, sigma = _labeller(seed, body.scene.task, label_noise)
    renderer = StereoRenderer(body.scene, one_eye=kind == "video")
    state, remaining, number = body.hand_state(), round(rest * RATE), 0
    while remaining > 0 and not (body.timed_out() and not body.success()):
        images, stamp_ns, robot_from_world = renderer.render(), body.stamp_ns, body.robot_from_world
        following = body.step(tremor.apply(expert.act()))
        action = seen_from(following, robot_from_world @ inverse(body.robot_from_world))
        yield (
            Frame(
                stamp_ns=stamp_ns,
                state=label(state.to_vector(), number),
                action=label(action.to_vector(), number + 1),
                joints=np.zeros(0),
                action_joints=np.zeros(0),
                images=images,
                quality=float(label_quality(*sigma.reshape(3, 2))),
                origin=origin_of(robot_from_world),
                sigma=sigma,
            ),
            body.success(),
        )
        state, number = following, number + 1
        remaining -= body.success()
    renderer.close()


def origin_of(robot_from_world: Array) -> Array:
    """Where F_R is in the world, seen along its own axes, which never turn, (3,), [m]."""
    return -robot_from_world[:3, 3]


def human_body(kind: str, task: str, variant: str, seed: int) -> HumanBody:
    """The person of a seed at the table of that seed's trial; for `video`, in a room of their own."""
    chosen = find_task(task)
    setup: Setup = chosen.draw(check_variant(variant), generator(variant, seed))
    if kind == "video":
        setup = redecorate(setup, np.random.default_rng([seed, 0x4003]))
    return HumanBody(chosen, setup, Person.draw(kind, seed), seed)


def seen_from(state: HandState, new_from_old: Array) -> HandState:
    """A hand state expressed in another F_R, given where the old one is in it, (4, 4)."""
    return HandState.from_poses(
        new_from_old[:3, :3] @ state.head_rotation, new_from_old @ state.wrist_poses, state.fingertips_in_wrist
    )


def _labeller(
    seed: int, task: Task, settings: LabelNoiseSettings | None
) -> tuple[Callable[[Array, int], Array], Array]:
    """What labels a hand state at a frame, and how far its labels are off, (6,), `observation.sigma`."""
    if settings is None:
        return lambda vector, _: vector, np.zeros(6)
    noise = LabelNoise(seed, round((task.time_limit + 5) * RATE), RATE, settings)
    return noise.apply, noise.sigma
