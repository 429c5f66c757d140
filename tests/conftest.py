"""Shared fixtures: where the reference records lie, and a small network."""

import os
import pathlib
import shutil
import tempfile

import jax
import pytest

from cap_jax import config

jax.config.update("jax_numpy_rank_promotion", "raise")
_CACHE = pytest.StashKey[str]()


def pytest_configure(config):
  """One compilation cache for the run: workers and commands compile the same programs. Set before the workers start."""
  if not hasattr(config, "workerinput") and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    config.stash[_CACHE] = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="cap_jax-tests-")
    jax.config.update("jax_compilation_cache_dir", config.stash[_CACHE])


def pytest_unconfigure(config):
  if _CACHE in config.stash:
    shutil.rmtree(config.stash[_CACHE], ignore_errors=True)


@pytest.fixture(scope="session")
def reference_data() -> pathlib.Path:
  """The folder of real records and reference solutions, which do not ship with the project."""
  default = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
  folder = pathlib.Path(os.environ.get("CAP_JAX_DATA", default))
  if not folder.is_dir():
    pytest.skip(f"reference records are not at {folder}; set CAP_JAX_DATA to their folder")
  return folder


@pytest.fixture(scope="session")
def tiny_model() -> config.Model:
  return config.Model(channels=8, layers=1, head_channels=8)
