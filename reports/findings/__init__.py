"""What the runs of a grid answer: effects, sources of doubt, the result in a sentence."""
