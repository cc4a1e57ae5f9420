"""Asks the ZED SDK which cameras it sees, prints them as JSON; a process of its own, which a crashing SDK may take."""

import json
import sys

from firsthand.errors import CameraError
from firsthand.vision.sources.zed import load_sdk


def main() -> int:
    """Print one line: the version, and each camera's serial number and whether it is free; or the error."""
    try:
        sdk = load_sdk()
    except CameraError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 0
    cameras = [
        {"serial": int(one.serial_number), "model": str(one.camera_model), "free": "NOT" not in str(one.camera_state)}
        for one in sdk.Camera.get_device_list()
    ]
    print(json.dumps({"error": "", "version": str(sdk.Camera.get_sdk_version()), "cameras": cameras}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
