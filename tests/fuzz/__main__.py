"""`python -m tests.fuzz --target=csv --runs=10000 [--seed=0] [--keep=DIR]`: inputs of a target, led by the coverage of the code where the package
atheris is installed, by chance alone where it is not. Ends with 1 at the first that raises something else than an InputError, takes longer than 10 s
or more than 1 GB, which is kept; prints how many were tried."""

import argparse
import pathlib
import resource
import signal
import sys
import time
import types

import numpy as np

try:
  import atheris
except ImportError:
  atheris = None

_LONGEST_S, _MOST_MB = 10, 1000


class HangError(BaseException):
  """No error that a reader of files could take for one of theirs."""


def _too_long(number: int, frame: types.FrameType | None) -> None:
  raise HangError(f"more than {_LONGEST_S} s")


def _memory_mb() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument("--target", required=True)
  parser.add_argument("--runs", type=int, default=10_000)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("fuzz"))
  report = parser.parse_args()
  if atheris is not None:
    with atheris.instrument_imports(include=["cap_jax"]):
      from tests.fuzz import targets
  else:
    from tests.fuzz import targets
  target = targets.TARGETS[report.target]()
  for data in target.seeds:
    targets.quietly(target.call, data)  # imports and compiles what is needed
  result = {"read": 0, "refused": 0}
  before, began, slowest = _memory_mb(), time.monotonic(), 0.0
  signal.signal(signal.SIGALRM, _too_long)

  def one(data: bytes) -> None:
    nonlocal slowest
    start, frozen = time.monotonic(), _memory_mb()
    signal.alarm(_LONGEST_S)
    try:
      result[targets.quietly(target.call, data)] += 1
      signal.alarm(0)
      assert _memory_mb() - frozen < _MOST_MB, f"the memory grew by {_memory_mb() - frozen:.0f} MB"
    except BaseException:
      signal.alarm(0)
      report.keep.mkdir(parents=True, exist_ok=True)
      (report.keep / f"{report.target}-{targets.name_of(data)}").write_bytes(data)
      raise
    slowest = max(slowest, time.monotonic() - start)
    if sum(result.values()) == report.runs:
      grown = _memory_mb() - before
      print(
        f"{report.target}: {report.runs} inputs, {result['refused']} refused, {result['read']} read; {time.monotonic() - began:.0f} s, "
        f"the slowest {slowest:.2f} s, memory +{grown:.0f} MB",
        flush=True,
      )

  if atheris is None:
    rng = np.random.default_rng(report.seed)
    for _ in range(report.runs):
      one(targets.mutated(target.seeds, rng))
    return
  corpus = report.keep / f"corpus-{report.target}"
  corpus.mkdir(parents=True, exist_ok=True)
  for data in target.seeds:
    (corpus / targets.name_of(data)).write_bytes(data)
  rng = np.random.default_rng(report.seed)

  def mutate(data: bytes, most: int, seed: int) -> bytes:
    if seed % 2:
      return bytes(atheris.Mutate(data, most))
    return targets.mutated([data or b"\0", *target.seeds], np.random.default_rng(seed))[:most]

  options = [
    f"-runs={report.runs}",
    f"-seed={report.seed + 1}",
    "-max_len=600000",
    "-rss_limit_mb=6000",
    "-timeout=60",
    "-verbosity=0",
    f"-artifact_prefix={report.keep}/{report.target}-",
  ]
  atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=mutate)
  atheris.Fuzz()


if __name__ == "__main__":
  main()
