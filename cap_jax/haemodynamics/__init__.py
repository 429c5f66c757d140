"""Haemodynamic indices of pressure waves, and parameters of virtual subjects."""
