"""Everything offline: demonstrations, datasets, models, training, evaluation. No ROS."""
