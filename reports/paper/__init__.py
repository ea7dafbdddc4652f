"""What a submission needs of a grid, and no more."""
