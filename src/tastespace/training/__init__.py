"""Training of a model on a split: gradient loop, checkpoints, forecasts."""
