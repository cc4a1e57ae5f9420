"""The service that clients ask to leave sport mode before they send rt/lowcmd: CheckMode, SelectMode, ReleaseMode.

Unitree's RPC is a request on one topic and a response, with the request's identity, on another; what is asked and
answered is JSON.
"""

import json
from dataclasses import dataclass
from typing import Any

from firsthand.robot.unitree.dds import Link
from firsthand.robot.unitree.topics import Topic
from firsthand.simulation.fake_robot.firmware import Firmware

REQUEST = Topic("rt/api/motion_switcher/request", "Request_")
RESPONSE = Topic("rt/api/motion_switcher/response", "Response_")

API_VERSION, CHECK_MODE, SELECT_MODE, RELEASE_MODE = 1, 1001, 1002, 1003
OK, UNKNOWN_API, BAD_PARAMETER = 0, 3203, 3204
VERSION = "1.0.0.1"
SPORT_NAME = "ai"  # what the robot calls its own controller
DEPTH = 16  # requests that may wait


@dataclass(frozen=True)
class Answer:
    """What the service says to one request."""

    code: int
    data: str = ""


class MotionSwitcher:
    """Answers on the network; what it decides is `decide`."""

    def __init__(self, link: Link, firmware: Firmware) -> None:
        from firsthand.robot.unitree import idl  # only now: it needs CycloneDDS

        self._idl: Any = idl
        self._firmware = firmware
        self._requests, self._responses = link.reader(REQUEST, DEPTH), link.writer(RESPONSE)

    def answer(self) -> None:
        """Answer what has been asked since the last call."""
        for payload in self._requests.take():
            request = self._idl.TYPES[REQUEST.type].deserialize(payload)
            identity = request.header.identity
            answer = decide(self._firmware, identity.api_id, request.parameter)
            if request.header.policy.noreply:
                continue
            header = self._idl.ResponseHeader(
                self._idl.RequestIdentity(identity.id, identity.api_id), self._idl.ResponseStatus(answer.code)
            )
            self._responses.write(self._idl.Response(header, answer.data, []).serialize())


def decide(firmware: Firmware, api: int, parameter: str) -> Answer:
    """Do what a request asks for.

    Args:
        firmware: Whose mode it is.
        api: The number of the call.
        parameter: Its JSON.
    """
    if api == API_VERSION:
        return Answer(OK, VERSION)
    if api == CHECK_MODE:
        return Answer(OK, json.dumps({"form": "0", "name": SPORT_NAME if firmware.mode == "sport" else ""}))
    if api == RELEASE_MODE:
        firmware.switch("debug")
        return Answer(OK)
    if api == SELECT_MODE:
        return _select(firmware, parameter)
    return Answer(UNKNOWN_API)


def _select(firmware: Firmware, parameter: str) -> Answer:
    try:
        name = json.loads(parameter)["name"]
    except (ValueError, KeyError, TypeError):
        return Answer(BAD_PARAMETER)
    if name != SPORT_NAME:
        return Answer(BAD_PARAMETER)
    firmware.switch("sport")
    return Answer(OK)
