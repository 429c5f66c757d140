"""Contains the sections of `experiments.benchmark`, a file a subject."""
