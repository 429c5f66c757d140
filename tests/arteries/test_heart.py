"""The inflow: closed forms of its volumes, and the human beat that its shape was fitted to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from cap_jax.arteries import heart

ejection = jax.jit(heart.ejection)


@pytest.mark.quick
@pytest.mark.parametrize(
  ("exponent", "closure_s"), [(0.6, heart.REGURGITATION_S), (1.0, 0.06), (2.0, heart.REGURGITATION_S)]
)
def test_ejection_has_its_volumes_and_peak(exponent, closure_s):
  time = np.linspace(0, 1, 20001, dtype=np.float32)
  flow = np.asarray(ejection(time, *(np.float32(x) for x in (70.0, 1.5, 0.3, 0.09, exponent, closure_s))))
  step = float(time[1])
  assert abs(float(flow.sum()) * step - 70.0) < 0.01
  assert abs(float(np.minimum(flow, 0).sum()) * step + 1.5) < 0.005
  assert abs(float(time[np.argmax(flow)]) - 0.09) < 1e-3
  assert float(np.abs(flow[time > 0.3 + closure_s + 1e-4]).max()) == 0
  # the lobe is half a sine: its lowest flow is π/2 of its mean
  assert float(-flow.min()) == pytest.approx(np.pi / 2 * 1.5 / closure_s, rel=2e-3)
  # half way down the fall: 1 − (1/2)ⁿ of the peak
  assert float(flow[np.abs(time - 0.195).argmin()] / flow.max()) == pytest.approx(1 - 0.5**exponent, abs=2e-3)


def test_fall_has_a_gradient_in_its_exponent_everywhere():
  time = jnp.linspace(0, 0.4, 401)
  tangent = jax.jit(jax.jacfwd(lambda n: heart.ejection(time, *(jnp.array(x) for x in (70.0, 1.0, 0.3, 0.08)), n)))(
    jnp.array(0.7)
  )
  assert jnp.isfinite(tangent).all()


def test_a_human_beat_falls_nearly_straight(reference_data):
  time, flow = np.loadtxt(reference_data / "aortic_pq" / "stergiopulos1999_aflow.csv", delimiter=",").T
  part = time < 0.31

  def residual(p):
    volume, start, peak, end, exponent = p
    shape = (jnp.array(x) for x in (volume, 0.0, end, peak, exponent))
    return np.asarray(ejection(jnp.asarray(time[part] - start), *shape)) - flow[part]

  result = scipy.optimize.least_squares(residual, [99.0, 0.006, 0.12, 0.305, 1.3], diff_step=1e-3)
  assert result.x[4] == pytest.approx(0.97, abs=0.06), result.x
  assert np.sqrt(np.mean(result.fun**2)) < 0.06 * flow.max()
