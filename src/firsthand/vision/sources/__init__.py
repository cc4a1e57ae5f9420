"""Where stereo pictures come from: one interface, video files first; the simulation renders in nodes/camera."""
