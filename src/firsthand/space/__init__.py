"""What the 54 numbers mean: hand states, rotations, frames, normalisation."""
