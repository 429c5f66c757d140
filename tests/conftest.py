"""Shared fixtures: where the reference records lie, and a small network."""

import os
import pathlib
import shutil
import tempfile

import jax
import pytest

from cap_jax import config, files
from cap_jax.evaluation import study

jax.config.update("jax_numpy_rank_promotion", "raise")
# tolerances are those of float32, also where a GPU would round to TF32
jax.config.update("jax_default_matmul_precision", "highest")
_CACHE = pytest.StashKey[str]()


def pytest_configure(config):
  """One compilation cache for the run: workers and commands compile the same programs. Set before the workers start."""
  if not hasattr(config, "workerinput") and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    config.stash[_CACHE] = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="cap_jax-tests-")
    jax.config.update("jax_compilation_cache_dir", config.stash[_CACHE])
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")  # read by the workers and commands


def pytest_unconfigure(config):
  if _CACHE in config.stash:
    shutil.rmtree(config.stash[_CACHE], ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def programs_are_dropped():
  """A compiled program takes dozens of memory maps, of which a process of Linux may hold 65,530: past them, compiling crashes."""
  yield
  jax.clear_caches()


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


@pytest.fixture(scope="session")
def small_study(tiny_model) -> config.Study:
  """Every kind of method, as small as can be."""
  return config.Study(
    scenarios=("device",),
    n_target=(0, 1, 2),
    seeds=(0,),
    baselines=("peripheral", "npma", "gtf_source", "mean_wave_target", "gtf_target", "source", "source_affine"),
    strategies=("fine_tuning", "scratch", "feature_transfer", "domain_adaptation", "multi_task"),
    source_subjects=24,
    source_seconds=8.0,
    labelled_subjects=3,
    unlabelled_subjects=3,
    validation_subjects=2,
    test_subjects=4,
    target_seconds=8.0,
    model=tiny_model,
    pretrain=config.Training(steps=100),
    steps=50,
  )


@pytest.fixture(scope="session")
def done_study(small_study, tmp_path_factory, request) -> pathlib.Path:
  """The folder of the small study when all its cells are done; made by one of the workers for all of them."""
  base = tmp_path_factory.getbasetemp()
  folder = (base.parent if hasattr(request.config, "workerinput") else base) / "done_study"
  (folder / "work").mkdir(parents=True, exist_ok=True)
  with files.held(folder):  # whoever comes second finds its cells done
    for _ in study.run(small_study, str(folder / "work")):
      pass
  return folder / "work"
