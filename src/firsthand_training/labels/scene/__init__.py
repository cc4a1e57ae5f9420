"""Parts of `reconstruct_scene`: mapping, registration of the frames between, turning alone, the vertical."""
