"""Damaged input of every kind, thousands of it: see `__main__`."""
