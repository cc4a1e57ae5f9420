"""The first waist: LeRobotDataset v3 folders, written, read, merged and checked."""
