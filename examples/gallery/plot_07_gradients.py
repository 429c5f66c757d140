"""
Differentiate the virtual cohort
================================

Which properties of the arteries and the heart move the central systolic pressure? The waves of a virtual subject are
differentiable in all parameters, so ``jax.grad`` answers for all of them at once (*in silico*).
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj
from cap_jax.arteries import cohort, population

BLACK, ORANGE, BLUE = "#000000", "#D55E00", "#0072B2"
SITES = {"aortic_root": BLACK, "radial": BLUE}

# %%
# One subject of the reference population. ``beats`` returns one period of the pressure at each site.

subject = jax.tree.map(lambda x: x[0], population.draw(jax.random.key(2), cj.clinics.POPULATIONS["reference"], 1))
print(f"{subject.age:.0f} years, {subject.hr_bpm:.0f} beats/min, PWV {subject.pwv_m_s:.1f} m/s (in silico)")


def waves(parameters):
  """Returns the pressure at each site, (time,) [mmHg]."""
  period = cohort.beats(jax.tree.map(lambda x: x[None], parameters), samples=128, harmonics=30)
  return {site: period[site][0] for site in SITES}


# %%
# The gradient of the central systolic pressure (cSBP) in all parameters, by ``jax.grad``. It is shown for an increase of
# each parameter by 1 %.

gradient = jax.jit(jax.grad(lambda parameters: waves(parameters)["aortic_root"].max()))(subject)
effect = {name: 0.01 * float(value) * float(getattr(subject, name)) for name, value in gradient._asdict().items()}
largest = sorted(effect, key=lambda name: abs(effect[name]))[-10:]

# %%
# The waves and their derivative in the pulse wave velocity (PWV), by forward mode. Differences confirm the gradient.


@jax.jit
def waves_and_slopes(pwv):
  """Returns the pressures and their derivatives at a PWV [m/s]."""
  return jax.jvp(lambda value: waves(subject._replace(pwv_m_s=value)), (pwv,), (jax.numpy.ones_like(pwv),))


pressure, slope = waves_and_slopes(subject.pwv_m_s)
low, high = (float(waves_and_slopes(subject.pwv_m_s * k)[0]["aortic_root"].max()) for k in (0.99, 1.01))
print(f"PWV + 1 %: cSBP {effect['pwv_m_s']:+.3f} mmHg, by differences {(high - low) / 2:+.3f} mmHg (in silico)")

# %%

figure, axes = plt.subplot_mosaic([["wave", "bars"], ["slope", "bars"]], figsize=(8, 4.5), layout="constrained")
time_s = np.linspace(0, 60 / float(subject.hr_bpm), 128, endpoint=False)
for site, colour in SITES.items():
  axes["wave"].plot(time_s, pressure[site], color=colour, label=site.replace("_", " "))
  axes["slope"].plot(time_s, slope[site], color=colour)
axes["wave"].set(ylabel="pressure [mmHg]", title="in silico")
axes["wave"].legend(frameon=False, fontsize=8)
axes["slope"].set(xlabel="time [s]", ylabel="∂p/∂PWV [mmHg per m/s]")
axes["bars"].barh(largest, [effect[name] for name in largest], color=ORANGE)
axes["bars"].set(xlabel="change of cSBP for 1 % more [mmHg]", title="gradient of cSBP")
plt.show()
