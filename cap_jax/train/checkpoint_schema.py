"""What the header of a checkpoint contains, as tables of types and ranges (`data.schema`), and how its parts must agree.

The ranges admit every network that this program trains, transfers, imports or merges, and exclude what makes a wave
that is no number or no pressure.
"""

from collections.abc import Mapping
from typing import Any

from cap_jax import config
from cap_jax.baselines import arx, transfer_function
from cap_jax.data import scalings, signal_names
from cap_jax.data.schema import (
  Constant,
  Deferred,
  Fault,
  Fields,
  Flag,
  Kind,
  ListOf,
  MapOf,
  Nullable,
  Number,
  OneOf,
  PlainValue,
  Positions,
  Text,
  Whole,
  show,
  twice,
)
from cap_jax.losses import tasks
from cap_jax.models import net as nets
from cap_jax.signals import calibration as scales
from cap_jax.signals import spectra
from cap_jax.train import fallback as fallbacks
from cap_jax.train import filter_blend
from cap_jax.types import InputError

_NAME = Text(1)
_COUNT = Whole(0, 1 << 53)
_PEOPLE = Whole(0, 10**10)  # all that there are
_HASHES = ListOf(Text(12, 12, "[0-9a-f]*", "12 hexadecimal digits"), 0, 1_000_000, distinct=True)
_PACKED = Text(0, 1 << 26, "(?:[A-Za-z0-9+/]{8})*", "8 digits in base 64 for each hash")
_SITES = dict.fromkeys((*signal_names.SITES, signal_names.PPG))
_SIZE = Whole(0, 1 << 14)  # of a network; `config.Model` knows which may be 0, and which must be odd

MODEL = Fields(
  {
    "extractor": _NAME,  # `models.net.make_net` knows the names
    "head": _NAME,
    "adaptor": _NAME,
    "patch": _SIZE,
    "channels": _SIZE,
    "layers": _SIZE,
    "kernel": _SIZE,
    "head_channels": _SIZE,
    "cosines": _SIZE,
    "outputs": _SIZE,
    "taps": _SIZE,
    "covariates": ListOf(_NAME, 0, 1000, distinct=True),
    "precision": OneOf(nets.PRECISIONS),
  }
)
_MODEL_3 = Fields(MODEL.kinds, frozenset(("precision",)))
WINDOWS = Fields(
  {
    "fs_hz": Number(60, 20_000),  # the rates of recordings, of which `config.Windows` needs 60 Hz
    "seconds": Number(1e-3, 600),  # `config.Windows` knows the largest number of samples
    "hop_s": Number(1e-5, 1e6),
    "margin_s": Number(1e-5, 600),
  }
)
_ERROR_MMHG = Number(-50, 50)  # as `config.Calibration`
CALIBRATION = Fields(
  {
    "kind": OneOf(dict.fromkeys(scales.KINDS)),
    "form": OneOf(scales.FORMS),
    "sbp_bias_mmhg": _ERROR_MMHG,
    "sbp_sd_mmhg": Number(0, 50),
    "dbp_bias_mmhg": _ERROR_MMHG,
    "dbp_sd_mmhg": Number(0, 50),
    "seed": _COUNT,
  }
)

# ln of the power of scaled windows, above the floor of −12.4; `measurement_context.fit` has no SD below 0.3
_POWER = Positions((Number(-50, 100), Number(1e-3, 100)))
# of responses: such logarithms, coherences, and differences of scaled levels; none below 0.03
_RESPONSE = Positions((Number(-1e3, 1e3), Number(1e-3, 1e3)))
_STANDARDISED = Positions((Number(-1e5, 1e5), Number(0, 1e5)))  # one subject has no spread
CONTEXT = Fields(
  {
    "spectrum": ListOf(_POWER, spectra.BANDS, spectra.BANDS),
    "response": ListOf(_RESPONSE, spectra.RESPONSE, spectra.RESPONSE),
    "clinic": ListOf(_STANDARDISED, 0, spectra.BANDS),
    "labelled": ListOf(_STANDARDISED, 0, spectra.RESPONSE),
    "labels": Whole(0, 1_000_000),  # subjects of one clinic
  }
)
_SCALING: Mapping[str, Kind] = {"mean_mmhg": Number(*scalings.MEANS[True]), "sd_mmhg": Number(*scalings.SDS[True])}
_SCALARS = ListOf(Positions((_NAME, Number(*scalings.SCALAR_MEAN), Number(*scalings.SCALAR_SD))), 0, 1000)
_NEWER: Mapping[str, Kind] = {"unitless": Flag(), "context": Nullable(CONTEXT)}
SCALING = Fields({**_SCALING, "scalars": _SCALARS, **_NEWER})
_SCALING_5 = Fields({**_SCALING, "scalars": _SCALARS, **_NEWER}, frozenset(("context",)))
_SCALING_4 = Fields({**_SCALING, "scalars": _SCALARS, **_NEWER}, frozenset(_NEWER))
_SCALING_3 = Fields({**_SCALING, "numbers": _SCALARS, **_NEWER}, frozenset(_NEWER))

# far beyond the gain of any artery, with which a pressure stays finite
_COEFFICIENT = Number(-9_999, 9_999)
FALLBACK = Fields(
  {
    "taps": ListOf(_COEFFICIENT, 1, 20_001),
    "bias": _COEFFICIENT,
    "wave": Number(1e-9, 9_999),
    "csbp": Number(0, 9_999),  # 0 without a whole beat
  }
)
_OF_SIGMA = Nullable(Number(1e-9, 1e9))  # null is infinite: too few subjects; σ is of the order of 1 mmHg
_INTERVALS: Mapping[str, Kind] = {
  "level": Number(0.01, 0.9999),  # 0.9999 needs ten thousand subjects
  "wave": _OF_SIGMA,
  "csbp": _OF_SIGMA,
  "subjects": _PEOPLE,
  "where": Text(0, 1000),
  "head": Flag(),
  "fallback": Nullable(FALLBACK),
}
_LOGIT = Nullable(Number(-1e10, 1e10))  # null is infinite: no window is out of distribution
_HR_BPM = Nullable(Positions((Number(5, 600), Number(5, 600))))  # null: no window has a beat
UNCERTAINTY = Fields({**_INTERVALS, "ood_threshold": _LOGIT, "hr_bpm": _HR_BPM, "detector": Flag()})
_UNCERTAINTY_5 = Fields(UNCERTAINTY.kinds, frozenset(("fallback",)))
# of formats 3 and 4 a distance, which is no logit and is not used
_DISTANCE = Nullable(Number(0, 1e30))
_UNCERTAINTY_4 = Fields({**_INTERVALS, "ood_threshold": _DISTANCE, "hr_bpm": _HR_BPM}, frozenset(("fallback",)))
_UNCERTAINTY_3 = Fields({**_INTERVALS, "unseen": _DISTANCE}, frozenset(("fallback",)))

_POLYNOMIAL = Number(-1e6, 1e6)  # of order 10, the largest, has coefficients up to 252
BLEND = Fields(
  {
    "weight": Number(0, 1),
    "a": ListOf(_POLYNOMIAL, 1, max(arx.ORDERS)),
    "b": ListOf(_POLYNOMIAL, 2, max(arx.ORDERS) + 1),
    "c": _POLYNOMIAL,
    "lead": Whole(0, 1 << 14),
    "fs_hz": WINDOWS.kinds["fs_hz"],
  }
)


def _about() -> Kind:
  """Returns the schema of the provenance, which contains itself: that of the source network."""
  return ABOUT


_REMARK, _PLAIN = Text(0, 10_000), MapOf(_NAME, PlainValue())
_ABOUT: Mapping[str, Kind] = {
  **dict.fromkeys(("data", "source", "source_data", "target_data", "strategy", "warning", "network"), _REMARK),
  **dict.fromkeys(("trained_for", "licence", "version", "file", "sha256"), _REMARK),
  **dict.fromkeys(("source_subjects", "n_target"), _PEOPLE),
  **dict.fromkeys(("seed", "cohort_seed", "steps"), _COUNT),
  **dict.fromkeys(("validation_rmse_mmhg", "validation_rmse_sd", "train_s"), Number(0, 1e12)),
  **dict.fromkeys(("changes", "device"), _PLAIN),
  "history": Deferred(_about),
  "params_of": ListOf(Deferred(_about), 0, 10_000),
}
# provenance for the reader, to which a user may add facts
ABOUT = Fields(_ABOUT, frozenset(_ABOUT), PlainValue())

_COMMON: Mapping[str, Kind] = {
  "site": OneOf(_SITES),
  "reference": OneOf(_SITES),
  "task": OneOf(tasks.TASKS),
  "model": MODEL,
  "windows": WINDOWS,
  "calibration": CALIBRATION,
  "about": ABOUT,
  "blend": BLEND,
}
_CURRENT: Mapping[str, Kind] = {**_COMMON, "scaling": SCALING, "uncertainty_calibration": UNCERTAINTY}
_OPTIONAL = frozenset(("blend", "uncertainty_calibration", "doubt", "met"))
HEADERS: Mapping[int, Fields] = {
  6: Fields({**_CURRENT, "format": Constant(6), "seen_subject_hashes": _PACKED}, _OPTIONAL),
  5: Fields(
    {
      **_CURRENT,
      "format": Constant(5),
      "scaling": _SCALING_5,
      "uncertainty_calibration": _UNCERTAINTY_5,
      "seen_subject_hashes": _HASHES,
    },
    _OPTIONAL,
  ),
  4: Fields(
    {
      **_CURRENT,
      "format": Constant(4),
      "scaling": _SCALING_4,
      "uncertainty_calibration": _UNCERTAINTY_4,
      "seen_subject_hashes": _HASHES,
    },
    _OPTIONAL,
  ),
  # the first checkpoints of format 3 have no hashes
  3: Fields(
    {
      **_COMMON,
      "format": Constant(3),
      "model": _MODEL_3,
      "scaling": _SCALING_3,
      "doubt": _UNCERTAINTY_3,
      "met": _HASHES,
    },
    _OPTIONAL,
  ),
}


def fault_of(content: Mapping[str, Any]) -> Fault | None:
  """Returns what does not agree in a header of sound fields, with the names of the current format.

  Args:
    content: the header.
  """
  checks = (
    _fault_of_settings,
    _fault_of_scaling,
    _fault_of_unit,
    _fault_of_context,
    _fault_of_uncertainty,
    _fault_of_blend,
  )
  return next((fault for fault in (one(content) for one in checks) if fault), None)


def _fault_of_settings(content: Mapping[str, Any]) -> Fault | None:
  """Returns what the dataclasses of the settings refuse."""
  try:
    config.Model(**{**content["model"], "covariates": tuple(content["model"]["covariates"])})
    config.Windows(**content["windows"])
    config.Calibration(**content["calibration"])
  except InputError as error:
    return "", str(error)
  return None


def _fault_of_scaling(content: Mapping[str, Any]) -> Fault | None:
  """Returns what is wrong with the numbers: each is scaled once, and those that the network reads in its order."""
  names, covariates = [name for name, _, _ in content["scaling"]["scalars"]], content["model"]["covariates"]
  if name := twice(names):
    return ".scaling.scalars", f"contains {show(name)} twice"
  if [name for name in names if name in covariates] != covariates:
    problem = f"is {show(', '.join(covariates))}, but scaling.scalars has {show(', '.join(names))}"
    return ".model.covariates", f"{problem}: the same names must come in the same order"
  return None


def _fault_of_unit(content: Mapping[str, Any]) -> Fault | None:
  """Returns what is wrong with the unit of the input: a PPG that no reading scales has none, a pressure has one.

  A network that reads pressures may have been transferred to a finger's PPG in mmHg.
  """
  unitless, about = content["scaling"].get("unitless", False), content["about"]
  for name, ranges in (("mean_mmhg", scalings.MEANS), ("sd_mmhg", scalings.SDS)):
    if fault := Number(*ranges[unitless]).fault(content["scaling"][name]):
      return f".scaling.{name}", fault[1]
  has_none = config.Signals(content["site"], calibration=config.Calibration(**content["calibration"])).unitless
  origin = next(iter(about.get("params_of", [])), about)
  if unitless == has_none or (has_none and "strategy" in origin):
    return None
  wave = f"site {content['site']} with calibration {content['calibration']['kind']}"
  return ".scaling.unitless", f"is {show(unitless)}, but {wave} {'has no unit' if has_none else 'is in mmHg'}"


def _fault_of_context(content: Mapping[str, Any]) -> Fault | None:
  """Returns what is wrong with the context."""
  context, extractor = content["scaling"].get("context"), content["model"]["extractor"]
  if (context is not None) != (extractor == "context_cnn"):
    return ".scaling.context", f"is {show(context)}, but the extractor is {show(extractor)}"
  if context is None:
    return None
  for name, number in (("clinic", spectra.BANDS), ("labelled", spectra.RESPONSE)):
    if len(context[name]) not in (0, number):
      return f".scaling.context.{name}", f"has {len(context[name])} values, must have 0 or {number}"
  if (context["labels"] > 0) != bool(context["labelled"]):
    return ".scaling.context.labels", f"is {context['labels']}, but labelled has {len(context['labelled'])} values"
  return None


def _fault_of_uncertainty(content: Mapping[str, Any]) -> Fault | None:
  """Returns what is wrong with the intervals and the fallback."""
  if "uncertainty_calibration" not in content:
    return None
  calibration, place = content["uncertainty_calibration"], ".uncertainty_calibration"
  low, high = calibration["hr_bpm"] or (0, 0)
  if low > high:
    return f"{place}.hr_bpm", f"is [{low:g}, {high:g}], must rise"
  if calibration["detector"] and calibration["ood_threshold"] is None:
    return f"{place}.ood_threshold", "is null, but there is a detector"
  fallback = calibration.get("fallback")
  if fallback is None:
    return None
  if not calibration["detector"] or content["scaling"].get("unitless", False):
    return f"{place}.fallback", "needs a detector, and an input in mmHg"
  gain = sum(fallback["taps"])
  if abs(gain) > filter_blend.LARGEST_GAIN:
    return f"{place}.fallback.taps", f"has a constant gain of {gain:.3g}, must be within ±{filter_blend.LARGEST_GAIN:g}"
  spec = config.Windows(**content["windows"])
  if spec.samples > fallbacks.MOST_SAMPLES:
    return f"{place}.fallback", f"needs windows of at most {fallbacks.MOST_SAMPLES} samples, not {spec.samples}"
  widths = sorted({2 * min(round(s * spec.fs_hz), spec.margin) + 1 for s in transfer_function.HALF_WIDTHS_S})
  if len(fallback["taps"]) not in widths:
    problem = f"has {len(fallback['taps'])} values, must have {' or '.join(map(str, widths))} for these windows"
    return f"{place}.fallback.taps", problem
  return None


def _fault_of_blend(content: Mapping[str, Any]) -> Fault | None:
  """Returns what is wrong with the filter."""
  if "blend" not in content:
    return None
  blend, fs_hz = content["blend"], content["windows"]["fs_hz"]
  if len(blend["b"]) != len(blend["a"]) + 1:
    return ".blend.b", f"has {len(blend['b'])} values, must have {len(blend['a']) + 1}, one more than a"
  if blend["fs_hz"] != fs_hz:
    return ".blend.fs_hz", f"is {blend['fs_hz']:g}, but windows.fs_hz is {fs_hz:g}"
  most = round(max(arx.LEADS_S) * fs_hz)
  if blend["lead"] > most:
    return ".blend.lead", f"is {blend['lead']}, must be at most {most} samples, {max(arx.LEADS_S):g} s"
  return None
