"""
Differentiate the virtual cohort
================================

Which properties of the arteries and the heart move the central systolic pressure? The waves of a virtual subject are
differentiable in all parameters, so JAX answers for all of them at once (*in silico*).
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
  """Returns the pressure at each site, (time,) [mmHg], twice: to differentiate, and as it is."""
  period = cohort.beats(jax.tree.map(lambda x: x[None], parameters), samples=128, harmonics=30)
  pressure = {site: period[site][0] for site in SITES}
  return pressure, pressure


# %%
# ``jax.jacfwd`` differentiates every sample of the two waves in all parameters. Where the aortic wave is highest, its
# derivative is that of the central systolic pressure (cSBP).

differentiate = jax.jit(jax.jacfwd(waves, has_aux=True))
slopes, pressure = differentiate(subject)
highest = int(pressure["aortic_root"].argmax())
relative = {name: 0.01 * float(value) for name, value in subject._asdict().items()}  # 1 % of each parameter
effect = {name: step * float(getattr(slopes["aortic_root"], name)[highest]) for name, step in relative.items()}
largest = sorted(effect, key=lambda name: abs(effect[name]))[-10:]

# %%
# Differences of the pulse wave velocity (PWV) confirm the derivative.

changed = [subject._replace(pwv_m_s=subject.pwv_m_s * factor) for factor in (0.99, 1.01)]
low, high = (float(differentiate(one)[1]["aortic_root"].max()) for one in changed)
print(f"PWV + 1 %: cSBP {effect['pwv_m_s']:+.3f} mmHg, by differences {(high - low) / 2:+.3f} mmHg (in silico)")

# %%
# The largest effects are those of the mean pressure, of the size of all arteries (``body_scale``), and of the PWV.

figure, axes = plt.subplot_mosaic([["wave", "bars"], ["slope", "bars"]], figsize=(8, 4.5), layout="constrained")
time_s = np.linspace(0, 60 / float(subject.hr_bpm), 128, endpoint=False)
for site, colour in SITES.items():
  axes["wave"].plot(time_s, pressure[site], color=colour, label=site.replace("_", " "))
  axes["slope"].plot(time_s, slopes[site].pwv_m_s, color=colour)
axes["wave"].set(ylabel="pressure [mmHg]", title="in silico")
axes["wave"].legend(frameon=False, fontsize=8)
axes["slope"].set(xlabel="time [s]", ylabel="∂p/∂PWV [mmHg per m/s]")
axes["bars"].barh(largest, [effect[name] for name in largest], color=ORANGE)
axes["bars"].set(xlabel="change of cSBP for 1 % more [mmHg]", title="derivative of cSBP, in silico")
plt.show()
