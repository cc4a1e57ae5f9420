"""Parts of `dense_depth`: views and their sources, the sweep, agreement between frames, COLMAP where there is CUDA."""
