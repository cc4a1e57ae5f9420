"""What a robot's own cameras and hands are measured to be: the camera's mount, left and right, the hands' strokes."""
