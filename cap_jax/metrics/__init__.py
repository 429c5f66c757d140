"""Errors of reconstructed waves, agreement with measured ones, and validation standards."""
