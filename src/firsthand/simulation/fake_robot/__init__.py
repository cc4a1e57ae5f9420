"""A fake H1-2 with fake Inspire hands: the robot's own DDS in front, MuJoCo behind; for tests and any client."""
