"""The sections of `experiments.benchmark`."""

# name → module of `benchmarks` and function; some need PyTorch
SECTIONS = {
  "steps": ("steps", "networks"),
  "alignment": ("steps", "alignment"),
  "frozen": ("steps", "frozen"),
  "rate": ("steps", "rate"),
  "growth": ("growth", "rows"),
  "many": ("many_models", "rows"),
  "personal": ("many_models", "personal"),
  "cohort": ("virtual_people", "rows"),
  "inference": ("use", "inference"),
  "commands": ("use", "commands"),
  "input": ("data_input", "rows"),
  "preparation": ("preparation_scale", "rows"),
  "checkpoints": ("use", "checkpoints"),
  "precision": ("precision", "rows"),
  "accuracy": ("accuracy", "rows"),
  "start": ("start", "rows"),
}
