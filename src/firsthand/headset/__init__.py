"""What a headset sees of a person, in our frames: readers, checks, and a fake headset that speaks the real wire."""
