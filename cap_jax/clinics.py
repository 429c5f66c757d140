"""Clinics: their subjects, heart rhythms and devices. Populations, devices and scenarios by name.

Frozen dataclasses of plain values, as in `config`: they hash as static arguments.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

from cap_jax.types import InputError

Range = tuple[float, float]


class _Within(NamedTuple):
  """Limits of a field: a number from low to high, or a rising range within them."""

  low: float
  high: float


_PerMinute = Annotated[float, _Within(0.0, 60.0)]


class _Checked:
  """Base of dataclasses that check their numbers on construction."""

  _limits: ClassVar[Mapping[str, _Within]] = {}
  _whole: ClassVar[Mapping[str, bool]] = {}

  def __init_subclass__(cls) -> None:
    hints = cls.__annotations__
    cls._limits = {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}
    cls._whole = {name: hints[name].__origin__ is int for name in cls._limits}

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: a value is not a number or outside its range; names it and the range.
    """
    for name, (low, high) in self._limits.items():
      value = getattr(self, name)
      values = value if isinstance(value, tuple) else () if value is None else (value,)
      if not all(isinstance(v, int | float) for v in values) or (self._whole[name] and not isinstance(value, int)):
        raise InputError(f"{type(self).__name__}.{name}={value!r}: must be a {'whole ' * self._whole[name]}number")
      rising = all(a <= b for a, b in itertools.pairwise(values))
      if not rising or not all(math.isfinite(v) and low <= v <= high for v in values):
        kind = "must be increasing and within" if len(values) > 1 else "must be"
        raise InputError(f"{type(self).__name__}.{name}={value}: {kind} {low:g} to {high:g}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rhythm(_Checked):
  """Beat-to-beat variability of a record. Sizes are choices of the project, not citations.

  Attributes:
    breathing_min_hz, breathing_max_hz: range of the breathing rate.
    rr_low_sd, rr_high_sd: relative SD of the RR interval in the bands at 0.1 Hz (LF) and at the breathing rate (HF).
    sv_breathing, sv_noise: relative swing and scatter of the stroke volume.
    pressure_swing_mmhg: swing of all pressures with respiration.
    ectopic_share: fraction of premature beats.
    ectopic_coupling: interval before an ectopic beat, relative to the one without it.
    ectopic_sv, potentiated_sv: stroke volume of an ectopic beat and of the next one, relative.
    rr_scale: range of a factor on both bands of the RR interval, drawn for each record on a logarithmic scale.
    breathing_scale: the same of a factor on `sv_breathing`, and of another on `pressure_swing_mmhg`.
    fibrillation_share: fraction of records in atrial fibrillation, with independent RR intervals.
    fibrillation_rr_sd: relative SD of these.
  """

  breathing_min_hz: Annotated[float, _Within(0.02, 1.0)] = 0.2
  breathing_max_hz: Annotated[float, _Within(0.02, 1.0)] = 0.3
  rr_low_sd: Annotated[float, _Within(0.0, 0.2)] = 0.014
  rr_high_sd: Annotated[float, _Within(0.0, 0.2)] = 0.021
  sv_breathing: Annotated[float, _Within(0.0, 0.5)] = 0.06
  sv_noise: Annotated[float, _Within(0.0, 0.3)] = 0.01
  pressure_swing_mmhg: Annotated[float, _Within(0.0, 30.0)] = 2.0
  ectopic_share: Annotated[float, _Within(0.0, 0.14)] = 0.0
  ectopic_coupling: Annotated[float, _Within(0.4, 1.0)] = 0.65
  ectopic_sv: Annotated[float, _Within(0.05, 1.0)] = 0.45
  potentiated_sv: Annotated[float, _Within(0.5, 2.0)] = 1.15
  rr_scale: Annotated[Range, _Within(0.01, 10.0)] = (1.0, 1.0)
  breathing_scale: Annotated[Range, _Within(0.01, 10.0)] = (1.0, 1.0)
  fibrillation_share: Annotated[float, _Within(0.0, 1.0)] = 0.0
  fibrillation_rr_sd: Annotated[float, _Within(0.0, 0.3)] = 0.2

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: a value is outside its range, or the least breathing rate is above the largest.
    """
    super().__post_init__()
    if self.breathing_min_hz > self.breathing_max_hz:
      raise InputError(f"Rhythm.breathing_min_hz={self.breathing_min_hz}: must be at most {self.breathing_max_hz}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Circulation(_Checked):
  """Circulations of patients under anaesthesia or in intensive care: uniform ranges in place of the rules of healthy people.

  Attributes:
    hr_bpm: heart rate. Opioids lower it below 40 (DeSouza et al. 1997, Anesthesiology 87, 1019); 113 ± 8 in septic shock
      (Guarracino et al. 2019, Crit. Care 23, 118). The ends are choices.
    map_mmhg: mean pressure at the aortic root. Below 49 harm begins within minutes (Monk et al. 2015, Anesthesiology 123,
      307); the upper end is a choice.
    output_l_min: cardiac output, 5.5 ± 1.8 after cardiac surgery (Maas et al. 2012, Anesth. Analg. 114, 803), two SDs.
      The stroke volume stays between 20 and 130 ml.
    outflow_share: pressure at which the outflow of the terminals ends, relative to the mean pressure. Critical closing
      pressure: 45.5 ± 11.1 mmHg (Maas 2012); asymptote of aortic diastole: 58.5 ± 8.1 mmHg, in proportion to the mean
      (doi 10.1016/j.artres.2018.10.064).
    ejection_scale: factor on the ejection time of men, 413 ms − 1.7 ms a beat per minute (Weissler et al. 1968, Circulation
      37, 149). It is shorter in failure, longer in valve disease (Weissler et al. 1961, Am. Heart J. 62, 367); the ends are
      choices.
    upstroke_share: time to peak flow relative to the ejection time, 0.22 ± 0.05 in mild and 0.37 ± 0.06 in severe aortic
      stenosis (Gamaza-Chulián et al. 2017, J. Am. Soc. Echocardiogr. 30, 947).
    fall_exponent: shape of the flow after its peak (`heart.ejection`). A triangle is too simple for the flows of 2,500
      people (doi 10.1016/j.artres.2007.07.052); the ends are choices.
    regurgitant_share: volume that flows back while the valve closes, relative to the stroke volume, at most the mean of
      6.3 % in the ascending aorta (Bogren et al. 1989, Am. Heart J. 117, 1214).
    closure_s: how long it flows back (a choice).
    pwv_scale: factor on the pulse wave velocity at the age and mean pressure, two SDs of Mattace-Raso 2010. The result is
      4.5 m/s at least (a choice), since their classes end at a mean of 92.5 mmHg.
    compliance_scale: factor on the peripheral compliance, two SDs of McVeigh 1999.
    dilation: vasodilation of the limbs, 1 for that of `vasodilated_share`; below 0 for constriction (a choice).
  """

  hr_bpm: Annotated[Range, _Within(30.0, 200.0)] = (35.0, 140.0)
  map_mmhg: Annotated[Range, _Within(42.0, 200.0)] = (50.0, 130.0)
  output_l_min: Annotated[Range, _Within(1.0, 15.0)] = (2.0, 9.0)
  outflow_share: Annotated[Range, _Within(0.0, 0.85)] = (0.3, 0.7)
  ejection_scale: Annotated[Range, _Within(0.5, 1.5)] = (0.85, 1.25)
  upstroke_share: Annotated[Range, _Within(0.1, 0.7)] = (0.2, 0.45)
  fall_exponent: Annotated[Range, _Within(0.3, 5.0)] = (0.8, 3.0)
  regurgitant_share: Annotated[Range, _Within(0.0, 0.15)] = (0.0, 0.065)
  closure_s: Annotated[Range, _Within(0.01, 0.12)] = (0.02, 0.06)
  pwv_scale: Annotated[Range, _Within(0.5, 2.0)] = (0.75, 1.35)
  compliance_scale: Annotated[Range, _Within(0.1, 4.0)] = (0.45, 1.55)
  dilation: Annotated[Range, _Within(-1.0, 2.0)] = (-0.5, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Population(_Checked):
  """A population of virtual subjects: ages are uniform, z is truncated normal within ±2.

  Attributes:
    age_min, age_max: years.
    spread: factor on all standard deviations.
    plausible: whether to draw only subjects whose pressures lie in the ranges of healthy people (McEniery 2005).
    map_shift_mmhg, map_sd_mmhg: shift and SD of the mean pressure.
    pwv_shift_sd, compliance_shift_sd: shifts in standard deviations.
    hr_shift_bpm, sv_scale: shift of the heart rate, factor on the stroke volume.
    vasodilated_share: fraction of vasodilated subjects.
    fall_exponent_sd: SD of the shape of ejection, about a straight fall (a choice).
    reflection, reflection_sd: Γ of the terminals (a choice, between the gains of Karamanoglu 1993 at brachial and
      radial).
    viscosity_log_sd, womersley_min, operating_sd_mmhg, taper_sd, steepening_max: variation of wall viscosity, friction
      law, operating pressure, taper and steepening between subjects; at zero (1 for womersley_min) all have the model's
      own.
    patient_share: fraction of patients, who have the circulation below.
    circulation: ranges of the patients.
  """

  age_min: Annotated[float, _Within(18.0, 100.0)] = 25.0
  age_max: Annotated[float, _Within(18.0, 100.0)] = 80.0
  spread: Annotated[float, _Within(0.0, 2.0)] = 1.0
  plausible: bool = True
  map_shift_mmhg: Annotated[float, _Within(-100.0, 100.0)] = 0.0
  map_sd_mmhg: Annotated[float, _Within(0.0, 50.0)] = 7.5
  pwv_shift_sd: Annotated[float, _Within(-5.0, 5.0)] = 0.0
  compliance_shift_sd: Annotated[float, _Within(-5.0, 5.0)] = 0.0
  hr_shift_bpm: Annotated[float, _Within(-100.0, 150.0)] = 0.0
  sv_scale: Annotated[float, _Within(0.1, 5.0)] = 1.0
  vasodilated_share: Annotated[float, _Within(0.0, 1.0)] = 0.0
  fall_exponent_sd: Annotated[float, _Within(0.0, 1.0)] = 0.3
  reflection: Annotated[float, _Within(-0.5, 0.65)] = 0.2
  reflection_sd: Annotated[float, _Within(0.0, 0.3)] = 0.2
  viscosity_log_sd: Annotated[float, _Within(0.0, 1.0)] = 0.0
  womersley_min: Annotated[float, _Within(0.0, 1.0)] = 1.0
  operating_sd_mmhg: Annotated[float, _Within(0.0, 20.0)] = 0.0
  taper_sd: Annotated[float, _Within(0.0, 0.25)] = 0.0
  steepening_max: Annotated[float, _Within(0.0, 3.0)] = 0.0
  patient_share: Annotated[float, _Within(0.0, 1.0)] = 0.0
  circulation: Circulation = Circulation()

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: a value is outside its range, or the youngest is older than the oldest.
    """
    super().__post_init__()
    if self.age_min >= self.age_max:
      raise InputError(f"Population.age_min={self.age_min}: must be less than age_max={self.age_max}")


HEALTHY = Population(age_max=75.0, spread=0.8)
# plausible=False: these are not the healthy people of the filter.
ELDERLY = Population(age_min=60.0, age_max=80.0, spread=0.8)
HYPERTENSIVE = Population(
  age_min=40.0, age_max=80.0, spread=0.8, plausible=False, map_shift_mmhg=15.0, pwv_shift_sd=0.7
)
ELDERLY_HYPERTENSIVE = Population(
  age_min=60.0,
  age_max=80.0,
  spread=0.8,
  plausible=False,
  map_shift_mmhg=12.0,
  pwv_shift_sd=0.56,
  compliance_shift_sd=-0.4,
)
POPULATIONS: dict[str, Population] = {
  "reference": Population(),
  "healthy": HEALTHY,
  "elderly": ELDERLY,
  "hypertensive": HYPERTENSIVE,
  "elderly_hypertensive": ELDERLY_HYPERTENSIVE,
  "vasodilated": dataclasses.replace(HEALTHY, plausible=False, vasodilated_share=1.0),
  "icu": Population(
    age_min=40.0,
    age_max=80.0,
    plausible=False,
    map_shift_mmhg=-12.0,
    map_sd_mmhg=10.0,
    hr_shift_bpm=18.0,
    sv_scale=0.9,
    vasodilated_share=0.4,
  ),
  # walls, frictions, tapers, operating points and steepening differ from the model's own, to cover other solvers and
  # nature
  "wide": Population(
    plausible=False, viscosity_log_sd=0.5, womersley_min=0.0, operating_sd_mmhg=8.0, taper_sd=0.2, steepening_max=1.5
  ),
  # three quarters healthy people as in `wide`, a quarter patients
  "patients": Population(
    plausible=False,
    viscosity_log_sd=0.5,
    womersley_min=0.0,
    operating_sd_mmhg=8.0,
    taper_sd=0.2,
    steepening_max=1.5,
    patient_share=0.25,
  ),
}


@dataclasses.dataclass(frozen=True)
class Cuff(_Checked):
  """Errors of a cuff, drawn for each subject. Defaults: bias Picone 2017, random SD Dankel 2019.

  Attributes:
    sbp_bias_mmhg, sbp_sd_mmhg, dbp_bias_mmhg, dbp_sd_mmhg: bias and SD.
    site: site whose pressure the cuff reads; None is the site of the wave.
  """

  sbp_bias_mmhg: Annotated[float, _Within(-50.0, 50.0)] = -5.7
  sbp_sd_mmhg: Annotated[float, _Within(0.0, 50.0)] = 10.3
  dbp_bias_mmhg: Annotated[float, _Within(-50.0, 50.0)] = 5.5
  dbp_sd_mmhg: Annotated[float, _Within(0.0, 50.0)] = 7.9
  site: str | None = "brachial"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device(_Checked):
  """A measuring device. Sizes of noise, drift and motion are in the unit of the wave.

  Attributes:
    scope: whether one device serves the whole clinic, or each subject has another of the kind.
    natural_hz, damping: ranges of a fluid-filled transducer; no transducer if `natural_hz` is None.
    pole_hz: range of a first-order low-pass, None without.
    gain, zero: ranges of calibration errors.
    delay_s: range of the delay of a monitor.
    cuff: cuff to which the wave is scaled, None if it is not scaled.
    noise, jitter_s: SD of white noise and of the sampling instants.
    drift: SD of the wandering baseline.
    motion, motion_per_min, flush_per_min, damped_per_min, pauses_per_min, dropped_per_min: artefacts (choices).
    bits, span: converter, none at 0 bits.
    transducer_share: fraction of devices that have the transducer and the low-pass; the others have a flat response.
    least_noise: lower end of the noise, which is drawn for each record on a logarithmic scale; None: all have `noise`.
  """

  scope: Literal["device", "subject"] = "device"
  natural_hz: Annotated[Range | None, _Within(1.0, 1000.0)] = None
  damping: Annotated[Range, _Within(0.01, 10.0)] = (0.2, 0.2)
  pole_hz: Annotated[Range | None, _Within(0.1, 1000.0)] = None
  gain: Annotated[Range, _Within(0.1, 10.0)] = (1.0, 1.0)
  zero: Annotated[Range, _Within(-1e6, 1e6)] = (0.0, 0.0)
  delay_s: Annotated[Range, _Within(-5.0, 5.0)] = (0.0, 0.0)
  cuff: Cuff | None = None
  noise: Annotated[float, _Within(0.0, 1000.0)] = 0.5
  jitter_s: Annotated[float, _Within(0.0, 0.1)] = 0.0
  drift: Annotated[float, _Within(0.0, 1000.0)] = 0.0
  motion: Annotated[float, _Within(0.0, 1000.0)] = 0.0
  motion_per_min: _PerMinute = 0.0
  flush_per_min: _PerMinute = 0.0
  damped_per_min: _PerMinute = 0.0
  pauses_per_min: _PerMinute = 0.0
  dropped_per_min: _PerMinute = 0.0
  bits: Annotated[int, _Within(0, 32)] = 0
  span: Annotated[Range, _Within(-1e6, 1e6)] = (-50.0, 350.0)
  transducer_share: Annotated[float, _Within(0.0, 1.0)] = 1.0
  least_noise: Annotated[float | None, _Within(1e-6, 1000.0)] = None

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: a value is outside its range, or the scope is unknown.
    """
    super().__post_init__()
    if self.scope not in ("device", "subject"):
      raise InputError(f"Device.scope={self.scope}: must be device or subject")


# Devices by name. EXACT records the wave itself. Ranges of the transducer: Mikhailov 2021; clamp: bias and SD of finger
# against arm; the rest are choices.
EXACT = Device(noise=0.0)
TRANSDUCER = Device()
FLUID_FILLED = Device(natural_hz=(9.0, 9.0), damping=(0.2, 0.2))  # one transducer, under-damped as usual
CATHETER = Device(
  scope="subject", natural_hz=(8.0, 25.0), damping=(0.1, 0.4), gain=(0.98, 1.02), zero=(-2.0, 2.0), bits=12
)
TONOMETER = Device(scope="subject", pole_hz=(18.0, 18.0), cuff=Cuff(), drift=1.0)
FINGER_CLAMP = Device(
  scope="subject", pole_hz=(10.0, 15.0), cuff=Cuff(-1.6, 12.2, 5.3, 8.3, site=None), pauses_per_min=0.5
)
OXIMETER = Device(
  scope="subject",
  pole_hz=(8.0, 12.0),
  noise=0.01,
  drift=0.03,
  motion=0.3,
  motion_per_min=0.2,
  bits=12,
  span=(-1.0, 2.0),
)
DELAYED_OXIMETER = dataclasses.replace(OXIMETER, delay_s=(0.3, 0.3))  # in a monitor whose delay nobody has removed
CALIBRATED_OXIMETER = dataclasses.replace(DELAYED_OXIMETER, cuff=Cuff(), noise=0.5, drift=1.0, bits=0)
WARD_TRANSDUCER = dataclasses.replace(
  CATHETER, drift=1.0, motion=8.0, motion_per_min=0.3, flush_per_min=0.1, damped_per_min=0.1, jitter_s=2e-4,
  dropped_per_min=0.3,
)  # fmt: skip

# Arterial lines as they are met at the bedside. Natural frequency: 6.5 Hz with air, 38.8 Hz flushed (Mikhailov 2021).
# Damping: 31 % of 300 lines were under-damped (Romagnoli et al. 2014, Crit. Care 18, 644); over-damped ones are a choice. A
# monitor has a single-pole low-pass (Philips M3001A, service manual); its cut-off and the share of distorting lines are choices.
# Every line has errors of zero and gain like those of `CATHETER`: 2 mmHg are 2.7 cm between transducer and heart. Noise: an
# amplifier of 8 nV/√Hz (INA128, data sheet) over 40 Hz adds 0.002 mmHg to a sensor of 5 µV/V/mmHg (ANSI/AAMI BP22) at 5 V,
# less than the converter's step of 0.1 mmHg leaves (0.03); the least value is a choice above it.
BEDSIDE = Device(
  scope="subject", natural_hz=(5.0, 40.0), damping=(0.1, 1.5), pole_hz=(8.0, 40.0), transducer_share=0.2,
  gain=CATHETER.gain, zero=CATHETER.zero, noise=1.0, least_noise=0.005, bits=12,
)  # fmt: skip
# Their noise and converter alone, from which a network learns.
PLAIN_LINE = Device(scope="subject", noise=1.0, least_noise=0.005, bits=12)
# Breathing of people and ventilators, 9 to 21 a minute (12 to 15 in Kumar et al. 2021, PMC7874281; the ends are choices). The
# swing of the stroke volume, 1 to 30 %, includes that of the pulse pressure in septic patients, 24 ± 9 and 7 ± 3 % (Michard et
# al. 2000, Am. J. Respir. Crit. Care Med. 162, 134). Propofol lowers the variability of the heart rate (Kanaya et
# al. 2003, Anesthesiology 98, 34). The share in atrial fibrillation is a choice.
VENTILATED = Rhythm(
  breathing_min_hz=0.15, breathing_max_hz=0.35, rr_scale=(0.1, 2.0), breathing_scale=(0.1, 2.5), fibrillation_share=0.05
)


@dataclasses.dataclass(frozen=True)
class Setup(_Checked):
  """Whose waves are recorded, and with what.

  Attributes:
    population: the subjects.
    device, oximeter: device for pressures, and for the PPG.
    rhythm: respiration and variability.
  """

  population: Population = HEALTHY
  device: Device = TRANSDUCER
  oximeter: Device = OXIMETER
  rhythm: Rhythm = Rhythm()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clinic(Setup):
  """A place where waves are recorded: a setup with a number of subjects and a record length.

  Attributes:
    name: prefix of its subjects' names; two clinics never share one.
    subjects: number of subjects.
    seconds: length of the record of a subject.
    fs_hz: sampling rate [Hz].
    seed: of all draws.
  """

  name: str
  subjects: Annotated[int, _Within(1, 10_000_000)]
  seconds: Annotated[float, _Within(4.0, 86400.0)]
  fs_hz: Annotated[float, _Within(10.0, 20000.0)] = 125.0
  seed: Annotated[int, _Within(0, 4_294_967_295)] = 0


@dataclasses.dataclass(frozen=True)
class Scenario(Setup):
  """The setup of a source or target clinic.

  Attributes:
    site: site of its measurements, None for that of the study.
  """

  site: str | None = None

  def clinic(self, name: str, subjects: int, seconds: float, fs_hz: float = 125.0, seed: int = 0) -> Clinic:
    """Returns a clinic of this setup.

    Args:
      name: prefix of its subjects' names.
      subjects: number of subjects.
      seconds: length of the record of a subject [s].
      fs_hz: sampling rate [Hz].
      seed: of all draws.
    """
    setup = {field.name: getattr(self, field.name) for field in dataclasses.fields(Setup)}
    return Clinic(**setup, name=name, subjects=subjects, seconds=seconds, fs_hz=fs_hz, seed=seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lines(_Checked):
  """The arterial lines of many clinics, which are simulated in front of exact waves (`data.simulated_clinics`).

  All ranges are on a logarithmic scale but those of gain and zero. The shares are choices.

  Attributes:
    plain_share, shared_share: fraction of the clinics whose lines do not distort, and of those that have one line for all
      subjects. In the others each subject has a line of its own.
    natural_hz, damping: a fluid-filled line, as in `BEDSIDE`; no such line if `natural_hz` is None.
    pole_share, pole_hz: fraction of the lines that distort with a monitor's low-pass, and its cut-off.
    gain, zero: errors of each line's calibration.
    noise: SD of white noise, one for a clinic in half of them, otherwise one for each subject; none in a tenth.
    most_subjects: largest number of subjects of a clinic; the least is 1.
  """

  plain_share: Annotated[float, _Within(0.0, 1.0)] = 0.4
  shared_share: Annotated[float, _Within(0.0, 1.0)] = 0.4
  natural_hz: Annotated[Range | None, _Within(1.0, 1000.0)] = (5.0, 40.0)
  damping: Annotated[Range, _Within(0.01, 10.0)] = (0.08, 1.5)
  pole_share: Annotated[float, _Within(0.0, 1.0)] = 0.3
  pole_hz: Annotated[Range, _Within(0.1, 1000.0)] = (8.0, 60.0)
  gain: Annotated[Range, _Within(0.1, 10.0)] = (1.0, 1.0)
  zero: Annotated[Range, _Within(-1e6, 1e6)] = (0.0, 0.0)
  noise: Annotated[Range, _Within(1e-6, 1000.0)] = (0.005, 1.0)
  most_subjects: Annotated[int, _Within(1, 10_000)] = 64


@dataclasses.dataclass(frozen=True)
class ClinicMixture:
  """Many simulated clinics.

  Attributes:
    people: setups whose people are recorded exactly, and the share of each among all of them.
    blends: for a share of the clinics, the share of its subjects from each of these setups.
    lines: devices in front of them.
  """

  people: tuple[tuple[Setup, float], ...]
  blends: tuple[tuple[float, tuple[float, ...]], ...]
  lines: Lines = Lines()


SCENARIOS: dict[str, Scenario] = {
  "population": Scenario(ELDERLY_HYPERTENSIVE),
  "device": Scenario(device=FLUID_FILLED),
  "device_population": Scenario(ELDERLY_HYPERTENSIVE, FLUID_FILLED),
  "subject_device": Scenario(ELDERLY_HYPERTENSIVE, CATHETER),
  "cuff": Scenario(ELDERLY_HYPERTENSIVE, TONOMETER),
  "site": Scenario(site="brachial"),
  "site_finger": Scenario(device=FINGER_CLAMP, site="digital"),
  "site_ppg": Scenario(oximeter=CALIBRATED_OXIMETER, site="digital_ppg"),
  "clinic": Scenario(
    dataclasses.replace(ELDERLY_HYPERTENSIVE, vasodilated_share=0.4), WARD_TRANSDUCER, rhythm=Rhythm(ectopic_share=0.02)
  ),
  "exact": Scenario(Population(), EXACT),
}

# Clinics of the large source data sets.
SOURCES: dict[str, Scenario] = {
  "healthy": Scenario(),
  "reference": Scenario(Population()),
  "exact": Scenario(Population(), EXACT),
  "icu": Scenario(POPULATIONS["icu"], CATHETER),
  "wide": Scenario(POPULATIONS["wide"]),
  "wide_exact": Scenario(POPULATIONS["wide"], EXACT),
  # a quarter patients, so that a network loses little where there are none
  "patients": Scenario(POPULATIONS["patients"], PLAIN_LINE, rhythm=VENTILATED),
  # the same, a fifth of them behind lines that distort
  "bedside": Scenario(POPULATIONS["patients"], BEDSIDE, rhythm=VENTILATED),
}

# cut off at each end of a record that a simulated clinic's line has filtered, since the filter takes it as periodic
EDGE_S = 1.0

# Thousands of small clinics, from which a network learns to tell lines from arteries. Shares are choices: mostly wide ranges of
# healthy people, with the rhythm of rest or of a ventilator; some patients; some people like those of the reference cohort.
_WANDERING = Device(
  scope="subject", noise=0.0, drift=OXIMETER.drift
)  # a PPG's baseline; its filter and noise are `Lines`
_PEOPLE = (
  (Setup(POPULATIONS["wide"], EXACT, _WANDERING), 0.45),
  (Setup(POPULATIONS["wide"], EXACT, _WANDERING, VENTILATED), 0.2),
  (Setup(dataclasses.replace(POPULATIONS["patients"], patient_share=1.0), EXACT, _WANDERING, VENTILATED), 0.2),
  (Setup(POPULATIONS["reference"], EXACT, _WANDERING), 0.15),
)
_BLENDS = (
  (0.35, (1.0, 0.0, 0.0, 0.0)),
  (0.2, (0.0, 1.0, 0.0, 0.0)),
  (0.1, (0.0, 0.75, 0.25, 0.0)),
  (0.1, (0.0, 0.0, 1.0, 0.0)),
  (0.1, (0.75, 0.0, 0.25, 0.0)),
  (0.15, (0.0, 0.0, 0.0, 1.0)),
)
MIXTURES: dict[str, ClinicMixture] = {
  "clinics": ClinicMixture(_PEOPLE, _BLENDS),
  # the same with errors of zero and gain, as in `bedside`
  "clinics_in_error": ClinicMixture(_PEOPLE, _BLENDS, Lines(gain=CATHETER.gain, zero=CATHETER.zero)),
  # the low-pass filters and the noise of oximeters; the ranges, about those of `OXIMETER`, are choices
  "oximeters": ClinicMixture(
    _PEOPLE,
    _BLENDS,
    Lines(plain_share=0.1, natural_hz=None, pole_share=1.0, pole_hz=(6.0, 20.0), noise=(5e-4, 0.02)),
  ),
}
