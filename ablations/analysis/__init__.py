"""What runs can prove: effects, verdicts, sources of doubt, and how many seeds it takes."""
