"""Contains the commands: `cap-jax NAME`, `python -m cap_jax NAME`, or `python -m experiments.NAME` in a clone."""
