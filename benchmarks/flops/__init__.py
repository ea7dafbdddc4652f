"""Multiply-adds of a forward pass, counted twice."""
