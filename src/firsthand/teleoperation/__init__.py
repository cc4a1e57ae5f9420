"""A person's hands drive the robot's: clutch, calibration, reach, gestures. No ROS; `nodes/teleop.py` plugs it in."""
