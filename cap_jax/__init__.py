"""Central aortic pressure waveforms from peripheral ones, by transfer learning.

The functions and classes below are imported when they are first used, so that `import cap_jax` is fast.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

# name → module that defines it
_PLACES = {
  **dict.fromkeys(("Network", "Reconstruction", "load"), "cap_jax.api.network"),
  **dict.fromkeys(("Pairs", "Waves"), "cap_jax.data.batches"),
  **dict.fromkeys(("calibrate", "windows"), "cap_jax.api.records"),
  **dict.fromkeys(("Cohort", "Evaluation", "cohort", "evaluate", "pretrain", "transfer"), "cap_jax.api.training"),
  "Budget": "cap_jax.train.runs",
  "STRATEGIES": "cap_jax.strategies",
  **dict.fromkeys(("Stage", "Strategy"), "cap_jax.strategies.strategy"),
  **dict.fromkeys(("Definition", "Term"), "cap_jax.losses.terms"),
  **dict.fromkeys(("MergeError", "merge"), "cap_jax.strategies.surgery"),
  **dict.fromkeys(("DataError", "InputError"), "cap_jax.types"),
  "LeakError": "cap_jax.data.splits",
}
# name → module
_MODULES = {"clinics": "cap_jax.clinics", "config": "cap_jax.config", "datasets": "cap_jax.api.datasets"}
__all__ = ["__version__", *_PLACES, *_MODULES]


def __getattr__(name: str) -> Any:
  if name in _MODULES:
    return importlib.import_module(_MODULES[name])
  if name not in _PLACES:
    raise AttributeError(f"module 'cap_jax' has no attribute {name!r}")
  return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
  return sorted(__all__)
