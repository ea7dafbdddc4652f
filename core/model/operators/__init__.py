"""Operators that do in one go what torch would in many, or by the quicker of its libraries."""
