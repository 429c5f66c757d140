"""The tiers of the tests, how they compile, and shared fixtures.

pytest -m quick      the edit loop: pure functions and contracts
pytest               all but the slow tests
pytest -m slow       whole commands, kills, many processes, long trainings, real records
"""

import collections
import gc
import os
import pathlib
import shutil

import jax
import pytest

from cap_jax import config, files
from cap_jax.study import run_study, study_config

jax.config.update("jax_numpy_rank_promotion", "raise")
# tolerances are those of float32, also where a GPU would round to TF32
jax.config.update("jax_default_matmul_precision", "highest")
# Half of a test's time is compiling, and programs run a few times at most. So LLVM optimises nothing, and XLA makes kernels by its older
# emitters, which need it least: compiling takes a quarter, all tests two thirds. A version of XLA that has no such flag would not start.
_FEW_PASSES = "--xla_llvm_disable_expensive_passes=true --xla_backend_optimization_level"
_COMPILE_FAST = (
  f"{_FEW_PASSES}=0 --xla_cpu_use_fusion_emitters=false" if jax.__version_info__ < (0, 11) else f"{_FEW_PASSES}=1"
)
_MOST_CACHE_BYTES = 2**30
# objects between two searches for garbage: tracing makes a great many that live on
_GC_EVERY = 100_000
# files of few tests that take long each: dealt out first, so that no worker is alone with one at the end
_LONG = (
  "test_hosts.py",
  "test_commands.py",
  "test_resume.py",
  "test_gradients.py",
  "test_kills.py",
  "test_sharding.py",
)
_MAPS_PATH = pathlib.Path("/proc/self/maps")
# of the 65,530 that Linux gives a process: a compiled program takes dozens, and past them compiling crashes
_MOST_MAPS = 40_000


def pytest_configure(config):
  """Sets up the compiler before the workers start, which inherit it, as do the commands that tests start. XLA reads its flags at the
  first compilation. Slow tests compile as users do, and so do all tests under a user's own XLA_FLAGS."""
  gc.set_threshold(_GC_EVERY, 50, 50)
  if hasattr(config, "workerinput"):
    return
  if hasattr(config.option, "loadscopereorder"):  # of pytest-xdist, whose order counts tests, not seconds
    config.option.loadscopereorder = False
  tiers = config.option.markexpr
  if "slow" not in tiers or "not slow" in tiers:
    os.environ.setdefault("XLA_FLAGS", _COMPILE_FAST)
  os.environ.setdefault("NPROC", "1")  # as workers of executors compute; tests run side by side
  if "JAX_COMPILATION_CACHE_DIR" not in os.environ and hasattr(config, "cache"):
    # one cache for all workers and commands, kept for the next run; `pytest --cache-clear` empties it
    folder = config.cache.mkdir("jax")
    if sum(file.stat().st_size for file in folder.iterdir()) > _MOST_CACHE_BYTES:
      shutil.rmtree(folder)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    jax.config.update("jax_compilation_cache_dir", str(folder))


def pytest_collection_modifyitems(config, items):
  """Puts the files in the order in which workers should take them: the long ones, then those of most tests."""
  several = collections.Counter(item.path for item in items)
  items.sort(
    key=lambda item: (_LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG), -several[item.path])
  )


@pytest.fixture(autouse=True, scope="module")
def drop_programs_when_maps_run_short():
  yield
  if _MAPS_PATH.exists() and _MAPS_PATH.read_bytes().count(b"\n") > _MOST_MAPS:
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
def small_study(tiny_model) -> study_config.Study:
  """Every kind of method, as small as can be."""
  return study_config.Study(
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
  with files.lock_folder(folder):  # whoever comes second finds its cells done
    for _ in run_study.run(small_study, str(folder / "work")):
      pass
  return folder / "work"


@pytest.fixture(scope="module")
def chromium():
  """A headless browser; where CAP_JAX_CHROMIUM is "required" its absence is a failure, else a skip."""
  playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install -r requirements-dev.txt"
  )
  path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
  if path is None:
    absent = pytest.fail if os.environ.get("CAP_JAX_CHROMIUM") == "required" else pytest.skip
    absent("no Chromium is installed")
  with playwright.sync_playwright() as started:
    browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture
def opened(chromium, request):
  """A page on a screen of 1200 points, and what went wrong in it."""
  context = chromium.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light", offline=True)
  tab, wrong = context.new_page(), []
  tab.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
  tab.on("pageerror", lambda error: wrong.append(str(error)))
  tab.on(
    "request",
    lambda requested: (
      wrong.append(requested.url) if not requested.url.startswith(("file:", "data:", "blob:")) else None
    ),
  )
  tab.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
  yield tab, wrong
  context.close()
  assert wrong == []
