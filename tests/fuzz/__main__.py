"""`python -m tests.fuzz --target=csv --runs=10000 [--seed=0] [--keep=DIR]`: inputs of a target, led by the coverage of the code where the package
atheris is installed, by chance alone where it is not. Ends with 1 at the first that raises something else than an InputError, takes longer than 10 s
or more than 1 GB, which is kept; prints how many were tried."""

import argparse
import contextlib
import dataclasses
import pathlib
import resource
import signal
import sys
import time
import types
from collections.abc import Callable

import numpy as np

try:
  import atheris
except ImportError:
  atheris = None

with atheris.instrument_imports(include=["cap_jax"]) if atheris is not None else contextlib.nullcontext():
  from tests.fuzz import targets

_LONGEST_S, _MOST_MB = 10, 1000


class HangError(BaseException):
  """No error that a reader of files could take for one of theirs."""


def _too_long(number: int, frame: types.FrameType | None) -> None:
  raise HangError(f"more than {_LONGEST_S} s")


def _memory_mb() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclasses.dataclass(kw_only=True)
class Run:
  """Tries inputs of one target, counts them, and keeps the one that fails."""

  name: str
  runs: int
  keep: pathlib.Path
  call: Callable[[bytes], None]
  counts: dict[str, int] = dataclasses.field(default_factory=lambda: {"read": 0, "refused": 0})
  slowest_s: float = 0.0
  before_mb: float = dataclasses.field(default_factory=_memory_mb)
  start_s: float = dataclasses.field(default_factory=time.monotonic)

  def __call__(self, data: bytes) -> None:
    start_s, before_mb = time.monotonic(), _memory_mb()
    signal.alarm(_LONGEST_S)
    try:
      self.counts[targets.quietly(self.call, data)] += 1
      signal.alarm(0)
      assert _memory_mb() - before_mb < _MOST_MB, f"the memory grew by {_memory_mb() - before_mb:.0f} MB"
    except BaseException:
      signal.alarm(0)
      self.keep.mkdir(parents=True, exist_ok=True)
      (self.keep / f"{self.name}-{targets.name_of(data)}").write_bytes(data)
      raise
    self.slowest_s = max(self.slowest_s, time.monotonic() - start_s)
    if sum(self.counts.values()) == self.runs:
      print(self._summary(), flush=True)

  def _summary(self) -> str:
    return (
      f"{self.name}: {self.runs} inputs, {self.counts['refused']} refused, {self.counts['read']} read; "
      f"{time.monotonic() - self.start_s:.0f} s, the slowest {self.slowest_s:.2f} s, "
      f"memory +{_memory_mb() - self.before_mb:.0f} MB"
    )


def _by_coverage(run: Run, seeds: list[bytes], seed: int) -> None:
  """Lets atheris choose the inputs by the coverage of the code. Does not return."""
  corpus = run.keep / f"corpus-{run.name}"
  corpus.mkdir(parents=True, exist_ok=True)
  for data in seeds:
    (corpus / targets.name_of(data)).write_bytes(data)

  def mutate(data: bytes, most: int, number: int) -> bytes:
    if number % 2:
      return bytes(atheris.Mutate(data, most))
    return targets.mutated([data or b"\0", *seeds], np.random.default_rng(number))[:most]

  options = [
    f"-runs={run.runs}",
    f"-seed={seed + 1}",
    "-max_len=600000",
    "-rss_limit_mb=6000",
    "-timeout=60",
    "-verbosity=0",
    f"-artifact_prefix={run.keep}/{run.name}-",
  ]
  atheris.Setup([sys.argv[0], *options, str(corpus)], run, custom_mutator=mutate)
  atheris.Fuzz()


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument("--target", required=True)
  parser.add_argument("--runs", type=int, default=10_000)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("fuzz"))
  args = parser.parse_args()
  target = targets.TARGETS[args.target]()
  for data in target.seeds:
    targets.quietly(target.call, data)  # imports and compiles what is needed
  run = Run(name=args.target, runs=args.runs, keep=args.keep, call=target.call)
  signal.signal(signal.SIGALRM, _too_long)
  if atheris is not None:
    _by_coverage(run, target.seeds, args.seed)
  rng = np.random.default_rng(args.seed)
  for _ in range(args.runs):
    run(targets.drawn(target, rng))


if __name__ == "__main__":
  main()
