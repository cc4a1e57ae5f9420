"""Everything that runs on the robot: from stereo images to joint commands. No torch; ROS only inside nodes/."""
