"""Stereo images and the DINOv2 encoder that turns them into patch features."""
