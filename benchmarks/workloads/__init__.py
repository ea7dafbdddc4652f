"""What is measured: our model and those of mmdet, behind the same few calls."""
