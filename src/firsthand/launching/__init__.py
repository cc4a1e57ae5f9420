"""Starts our launch files where `ros2 launch` does not exist: the same YAML, the same command lines."""
