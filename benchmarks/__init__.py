"""What one cell costs and scores: FLOPs, FPS, memory, AP."""
