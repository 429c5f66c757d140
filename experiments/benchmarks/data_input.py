"""Measures whether training waits for its input: steps on a stream from a store against steps on batches on the
device."""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import jax

from cap_jax import config
from cap_jax.data import preparation, scalings, stream, subject_partition
from cap_jax.data.sources import virtual
from cap_jax.losses import tasks, terms
from cap_jax.models import net as nets
from cap_jax.strategies import pretraining
from cap_jax.study import study_config, study_datasets
from cap_jax.train import step
from cap_jax.types import InputError
from experiments.benchmarks import timing
from experiments.benchmarks.timing import Options, Row

_SECONDS, _POOLS = 60, 3
_SHARES = {"training": 0.9, "validation": 0.05, "test": 0.05}


def _store(folder: str, site: str, subjects: int) -> str:
  """Writes a store of virtual subjects, a minute each, and returns its path."""
  people = virtual.load(f"healthy,subjects={subjects},seconds={_SECONDS}", {site: site})
  path = os.path.join(folder, "store")
  preparation.prepare(people, path, config.Conditioning(), subject_partition.Partition(_SHARES))
  return path


def _peak_gb() -> float:
  """Returns the largest resident memory of this process so far [GB]."""
  scale = 1 if sys.platform == "darwin" else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9


def _turns(path: str, site: str, turns: int) -> tuple[stream.Stream, timing.Times, int]:
  """Returns the stream of a store, the times of turns, and the steps of a turn.

  All turns together read three pools of blocks.

  Raises:
    InputError: the path is no store.
  """
  study = study_config.Study(source_data=path, site=site)
  training = study_datasets.load_source(study).training
  if not isinstance(training, stream.Stream):
    raise InputError(f"--store={path}: is not a store; prepare one with: python -m cap_jax prepare")
  spec, net = study.pretrain, nets.make_net(study.model)
  loss = tasks.TASKS[study.task].make_loss(net, study.windows.margin)
  total = terms.make_total(pretraining.STRATEGY.loss, "sum", terms.Context(net, loss, loss))
  trainer = step.make_trainer(total, (), spec.weight_decay, spec.clip, spec.warmup, (), spec.optimizer)
  scaled = stream.Scaled(training, scalings.fit(training), ())
  state = trainer.init(net.init(jax.random.key(0), study.windows.samples), spec.steps, spec.learning_rate)
  key, stacks = jax.random.key(1), ({"source": stack} for stack in scaled.stacks(config.CHUNK, spec.batch, 0))
  on_device = jax.device_put(next(stacks))
  chunk_windows = config.CHUNK * spec.batch
  chunks = -(-_POOLS * min(training.pool, training.count) // (chunk_windows * turns))

  def turn(feed: Callable[[], Any]) -> jax.Array:
    """Runs chunks as in training: the host prepares the next chunk while the device computes."""
    nonlocal state
    before = None
    for _ in range(chunks):
      state, metrics = trainer.run(state, feed(), key)
      if before is not None:
        jax.block_until_ready(before)
      before = metrics
    return state.step

  feeds = {"streamed": lambda: turn(lambda: jax.device_put(next(stacks))), "held": lambda: turn(lambda: on_device)}
  return training, timing.in_turns(feeds, turns, "data input"), config.CHUNK * chunks


def rows(options: Options) -> list[Row]:
  """Measures the user's store, or a temporary one of virtual subjects."""
  folder = tempfile.mkdtemp(prefix="cap_jax-benchmark-")
  try:
    training, times, steps = _turns(
      options.store or _store(folder, options.site, options.subjects), options.site, options.turns
    )
  finally:
    shutil.rmtree(folder, ignore_errors=True)
  section = "data input"
  streamed, on_device = (1e3 * timing.median(times[name]) / steps for name in ("streamed", "held"))
  detail = f"{streamed:.2f} ms per step from the store, {on_device:.2f} ms with batches on the device"
  return [
    Row(
      section=section, name="share of the step rate without input", value=timing.ratio(times["held"], times["streamed"]), unit="×", target=0.95,
      detail=detail,
    ),
    Row(section=section, name="windows of the store", value=training.count, unit="", detail=f"{len(training.subjects)} subjects"),
    Row(section=section, name="largest resident memory of this process", value=_peak_gb(), unit="GB"),
  ]  # fmt: skip
