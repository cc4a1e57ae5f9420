"""Bags on disk: writing, reading, reporting, recovering. No ROS needed."""
