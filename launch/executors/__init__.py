"""How a batch gets to run: here, as local processes, as a SLURM array."""
