"""The H1-2: its description, forward kinematics, arm IK, hand retargeting, limits, and the bodies it can have."""
