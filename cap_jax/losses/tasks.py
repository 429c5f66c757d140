"""Source tasks by name: what a network learns from a large data set. Each has a reference, a head and a loss.

| task | x → | labels |
|---|---|---|
| waveform | the reference wave of the study, the aortic one | paired waves |
| site | wave of another site | paired waves |
| masked | itself, from the samples that a mask leaves | none |
| bp | SBP, DBP, MAP | pressure at the arm |
| monitoring | SBP, DBP, MAP, heart rate, stroke volume, pulse wave velocity | pressure at the arm and numerics |
| imported | what another program taught the network | not here: the source offers its parameters alone |
"""

import dataclasses
from collections.abc import Callable

import jax

from cap_jax import config
from cap_jax.losses import masked, numeric_losses, waveform
from cap_jax.models.net import Net
from cap_jax.types import Batch, InputError, LossFn, Metrics, Params


@dataclasses.dataclass(frozen=True)
class Task:
  """A source task.

  Attributes:
    reference: site of the reference wave y; None is the site of x, `STUDY_REFERENCE` the reference site of the study.
    make_loss: (net, margin) -> loss of a part of a batch.
    numerics: covariates that are outputs, besides the three pressures; None for a task whose output is a wave.
  """

  reference: str | None
  make_loss: Callable[[Net, int], LossFn]
  numerics: tuple[str, ...] | None = None

  def model(self, model: config.Model) -> config.Model:
    """Returns the model config with the head that the task needs.

    Args:
      model: the config.
    """
    if self.numerics is None:
      return model
    return dataclasses.replace(model, head="numbers", outputs=3 + len(self.numerics))


def _no_loss(net: Net, margin: int) -> LossFn:
  """Returns a loss that cannot be computed, for a task without labels here."""
  del net, margin

  def loss(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
    raise InputError(f"task {IMPORTED}: another program trained it, its labels are not here; choose another task")

  return loss


STUDY_REFERENCE = "study"
IMPORTED = "imported"
TASKS: dict[str, Task] = {
  "waveform": Task(STUDY_REFERENCE, waveform.make_waveform),
  "site": Task("brachial", waveform.make_waveform),
  "masked": Task(None, masked.make_masked),
  "bp": Task("brachial", numeric_losses.make_blood_pressure, ()),
  "monitoring": Task("brachial", numeric_losses.make_monitoring, ("hr_bpm", "sv_ml", "pwv_m_s")),
  IMPORTED: Task(STUDY_REFERENCE, _no_loss),
}
