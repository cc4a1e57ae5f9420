"""Asks the robot's own service which of its controllers runs: a question, in which nothing moves.

Unitree's remote calls are a request on one topic and a response, with the request's identity, on another; what is asked
and answered is JSON. The controller of sport mode has a name; in debug mode, where rt/lowcmd is obeyed, there is none.
"""

import json
import time
from typing import Any

from firsthand.robot.unitree.dds import Link
from firsthand.robot.unitree.topics import SWITCHER_REQUEST, SWITCHER_RESPONSE

CHECK_MODE = 1001
ASK_AGAIN = 0.2  # [s]; who asks before the other side has been discovered is not heard
POLL = 0.005  # [s]


def ask_controller(link: Link, timeout: float) -> str | None:
    """The name of the controller that runs on the robot, empty in debug mode; None if nobody answers in time, [s].

    Raises:
        RobotError: DDS refuses.
    """
    from firsthand.robot.unitree import idl  # only now: it needs CycloneDDS

    requests, responses = link.writer(SWITCHER_REQUEST), link.reader(SWITCHER_RESPONSE, depth=16)
    identity = time.monotonic_ns()
    deadline, ask_at = time.monotonic() + timeout, 0.0
    while (now := time.monotonic()) < deadline:
        if now >= ask_at:
            ask_at = now + ASK_AGAIN
            requests.write(_request(idl, identity))
        for payload in responses.take():
            name = _controller(idl.TYPES[SWITCHER_RESPONSE.type], payload, identity)
            if name is not None:
                return name
        time.sleep(POLL)
    return None


def _request(idl: Any, identity: int) -> bytes:
    header = idl.RequestHeader(
        idl.RequestIdentity(identity, CHECK_MODE), idl.RequestLease(0), idl.RequestPolicy(0, False)
    )
    return bytes(idl.TYPES[SWITCHER_REQUEST.type](header, "{}", []).serialize())


def _controller(response: Any, payload: bytes, identity: int) -> str | None:
    """The name in an answer to our question; None in anything else."""
    try:
        answer = response.deserialize(payload)
        content = json.loads(answer.data) if answer.header.identity.id == identity else None
    except Exception:  # the binding raises whatever its parser met
        return None
    name = content.get("name") if isinstance(content, dict) else None
    return name if isinstance(name, str) else None
