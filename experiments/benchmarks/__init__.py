"""Contains the sections of `experiments.benchmark`, one file per subject."""
