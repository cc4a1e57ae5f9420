"""The MuJoCo world: scene, tasks, stereo rendering, and the simulated body."""
