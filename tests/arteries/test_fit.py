"""Parameters found again, and real beats at the aortic root."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort, fit, heart
from cap_jax.types import InputError
from tests.arteries import people


@pytest.fixture(scope="module")
def subject():
  return jax.tree.map(lambda x: x[0], people.draw(4, clinics.HEALTHY, 1))


@pytest.mark.slow
def test_known_parameters_are_recovered(subject):
  period = 60 / float(subject.hr_bpm)
  q_k = np.asarray(heart.periodic_spectrum(period, cohort.inflow_shape(subject, subject.sv_ml), 40), dtype=complex)
  flow = np.fft.irfft(q_k * 256, 256)
  true = people.beats(people.single(subject))["aortic_root"][0]
  start = subject._replace(compliance_scale=jnp.array(1.5), pwv_m_s=jnp.array(6.0), body_scale=jnp.array(0.9))
  result = fit.fit(true, flow, period, start, steps=600)
  assert result.rms_mmhg < 0.25
  # the reference pressure of the radii is set to diastole, so the velocity compensates a little
  assert result.subject.pwv_m_s == pytest.approx(float(subject.pwv_m_s), rel=0.12)
  assert result.subject.map_mmhg == pytest.approx(float(true.mean()), abs=0.3)
  assert result.loss[-1] < 0.01 * result.loss[0]


def test_bad_beats_are_refused(subject):
  with pytest.raises(InputError, match="the beat has 40 samples; more than 81 are needed"):
    fit.fit(np.full(40, 90.0), None, 0.8, subject)
  with pytest.raises(InputError, match="not subject parameters"):
    fit.fit(np.full(256, 90.0), None, 0.8, subject, free=("wind",))
  with pytest.raises(InputError, match="pulse pressure 0 mmHg: must be 5 or more"):
    fit.fit(np.full(256, 90.0), None, 0.8, subject)
  with pytest.raises(InputError, match="contains NaN or infinite values"):
    fit.fit(np.full(256, np.nan), None, 0.8, subject)
  with pytest.raises(InputError, match="hr_bpm=600 of subject 0: must be 25 to 220"):
    fit.fit(np.linspace(80, 120, 256), None, 0.1, subject)
