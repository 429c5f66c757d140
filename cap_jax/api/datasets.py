"""Data sets that ship with the package."""

from cap_jax import config
from cap_jax.api.training import Cohort
from cap_jax.data import conditioning
from cap_jax.data import datasets as readers
from cap_jax.data.sources import mcl
from cap_jax.types import InputError, suggest


def rig(state: str | None = None) -> Cohort:
  """Loads measured waves of a mock circulatory loop: *in vitro*.

  The excerpt has 24 s of 27 records: aortic flow [mL/s], aortic and radial pressure [mmHg], measured at the same time.
  They belong to two states of the loop, so a test on other records of the same state says little: train on one state and
  test on the other. Cite Farahmand et al. 2023, 10.1016/j.compbiomed.2023.106979 (CC0 1.0).

  Args:
    state: "NV", normovolemic at 75 beats/min, or "CS", cardiogenic shock at 90 beats/min; both if None.

  Returns:
    The recordings at 125 Hz. Their covariates are the state (0 and 1), the test, its step and the breaths per minute.

  Raises:
    InputError: the excerpt has no such state.
  """
  states = dict(zip(mcl.STATES, range(len(mcl.STATES)), strict=True))
  cleaned = [
    conditioning.condition(readers.read(entry), config.Conditioning(synchronise=False))[0]
    for entry in mcl.load().entries
  ]
  available = [name for name, number in states.items() if any(r.covariates["state"] == number for r in cleaned)]
  if state is not None and not (isinstance(state, str) and state in available):
    raise InputError(f"state={state!r}: not in the excerpt; {suggest(str(state), available)}")
  selected = [one for one in cleaned if state is None or one.covariates["state"] == states[state]]
  return Cohort(selected, {"data": f"{readers.IN_VITRO}: {mcl.SOURCE}", "source": "mcl"}, readers.IN_VITRO)
