"""From a split to a trained model: the only gradient loop, checkpoints, forecasts."""
