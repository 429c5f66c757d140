"""Keeps compiled programs for the next command, in the user's cache folder.

JAX has such a cache, and its settings hold: `JAX_COMPILATION_CACHE_DIR` for another folder, `JAX_ENABLE_COMPILATION_CACHE=false` for none.
"""

import hashlib
import os
import pathlib
import platform

import jax

_MOST_BYTES = 1 << 30  # beyond which jax removes what was not used for longest
_LEAST_S = "0.05"  # of a compilation that is worth a file


def begin() -> None:
  """Turns the cache on, here and in the processes that this one starts, unless the user's environment decides otherwise.

  Without a cache folder that can be written to, nothing is kept.
  """
  if "JAX_COMPILATION_CACHE_DIR" in os.environ or "JAX_ENABLE_COMPILATION_CACHE" in os.environ:
    return
  home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
  folder = os.path.join(home, "cap_jax", "programs", _machine())
  try:
    os.makedirs(folder, mode=0o700, exist_ok=True)
  except OSError:
    return
  if not os.access(folder, os.W_OK):
    return
  os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", _LEAST_S)
  os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_MOST_BYTES))
  jax.config.update("jax_compilation_cache_dir", folder)
  jax.config.update(
    "jax_persistent_cache_min_compile_time_secs", float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"])
  )
  jax.config.update("jax_compilation_cache_max_size", int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]))


def _machine() -> str:
  """Returns a name for the processor: a home may be shared by machines that do not run each other's programs."""
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
  except OSError:
    lines = []
  kinds = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
  facts = "\n".join([platform.machine(), platform.processor(), *kinds])
  return hashlib.sha256(facts.encode()).hexdigest()[:16]
