"""What a grid will cost, by what finished runs have taken."""
