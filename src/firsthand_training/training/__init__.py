"""From episodes to a checkpoint: feature cache, windows, losses, the loop, export."""
