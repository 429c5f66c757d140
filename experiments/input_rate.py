"""Whether training waits for its input: the step rate of a stream from a store beside that of a batch already on the device.

python -m experiments.input_rate --data=STORE [--site=radial] [--chunks=4] [--repeats=5]

Both are timed in turns in one run, each turn `--chunks` programs of 50 steps, so many that several pools of blocks are read; the ratio is that of the median turns.
"""

import itertools
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable

import jax
import tqdm
from absl import flags

from cap_jax import config
from cap_jax.data import batches, stream
from cap_jax.evaluation import study_data
from cap_jax.losses import tasks, terms
from cap_jax.models import net as nets
from cap_jax.train import loop, step
from cap_jax.transfer import pretraining
from cap_jax.types import InputError
from experiments import common

_DATA = flags.DEFINE_string("data", None, "prepared store")
_SITE = flags.DEFINE_string("site", "radial", "peripheral site")
_CHUNKS = flags.DEFINE_integer(
  "chunks", 0, "programs of 50 steps in a turn (default: all turns read three pools)", lower_bound=0
)
_POOLS = 3
_REPEATS = flags.DEFINE_integer("repeats", 5, "turns of each", lower_bound=1)


def _peak_gb() -> float:
  """Largest resident memory of this process so far."""
  scale = 1 if sys.platform == "darwin" else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9


def main() -> None:
  study = config.Study(source_data=common.required(_DATA, "STORE"), site=_SITE.value)
  training = study_data.load_source(study).training
  if not isinstance(training, stream.Stream):
    raise InputError(f"--data={_DATA.value}: is no store")
  spec, net = study.pretrain, nets.make_net(study.model)
  loss = tasks.TASKS[study.task].make_loss(net, study.windows.margin)
  total = terms.make_total(pretraining.STRATEGY.loss, "sum", terms.Context(net, loss, loss))
  trainer = step.make_trainer(total, (), spec.weight_decay, spec.clip, spec.warmup, (), spec.optimizer)
  scaled = stream.Scaled(training, batches.fit_scaling(training), ())
  state = trainer.init(net.init(jax.random.key(0), study.windows.samples), spec.steps, spec.learning_rate)
  key, stacks = jax.random.key(1), ({"source": stack} for stack in scaled.stacks(loop.CHUNK, spec.batch, 0))
  held = jax.device_put(next(stacks))
  state, _ = trainer.run(state, held, key)
  taken = loop.CHUNK * spec.batch
  chunks = _CHUNKS.value or math.ceil(_POOLS * min(training.pool, training.count) / (taken * _REPEATS.value))

  def turn(feed: Callable[[], dict]) -> float:
    """Seconds of a turn; as in training, the device works on a chunk while the host makes the next."""
    nonlocal state
    jax.block_until_ready(state.params)
    began = time.perf_counter()
    before = None
    for _ in range(chunks):
      state, metrics = trainer.run(state, feed(), key)
      if before is not None:
        jax.block_until_ready(before)
      before = metrics
    jax.block_until_ready(state.params)
    return time.perf_counter() - began

  times: dict[str, list[float]] = {"streamed": [], "held": []}
  feeds = {"streamed": lambda: jax.device_put(next(stacks)), "held": lambda: held}
  for _, name in tqdm.tqdm(list(itertools.product(range(_REPEATS.value), feeds)), desc="turns", unit="", leave=False):
    times[name].append(turn(feeds[name]))
  streamed, on_device = (statistics.median(times[name]) for name in ("streamed", "held"))
  steps = loop.CHUNK * chunks
  print(f"{training.count} windows of {len(training.subjects)} subjects in {_DATA.value}")
  read = chunks * _REPEATS.value * taken
  print(f"{read} of them streamed, {read / training.pool:.1f} pools of blocks read from the disk meanwhile")
  print(f"streamed from the store   {1e3 * streamed / steps:8.2f} ms a step")
  print(f"already on the device     {1e3 * on_device / steps:8.2f} ms a step")
  print(f"share of that step rate   {100 * on_device / streamed:8.1f} %")
  print(f"largest resident memory   {_peak_gb():8.2f} GB")


if __name__ == "__main__":
  common.launch(main)
