"""Where stereo pictures come from: films, a ZED, UVC cameras, a fake camera; the simulation renders in nodes/camera."""
