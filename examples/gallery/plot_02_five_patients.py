"""
Fine-tune with five labelled patients
=====================================

How much do five patients with a measured aortic wave help? The target clinic measures through a slow line, a low-pass
of 6 Hz, which the packaged network does not know. Fine-tuning continues its training on the five (*in silico*).
"""

import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj

ORANGE, BLUE, GREY = "#D55E00", "#0072B2", "#929292"

# %%
# Twenty-five virtual subjects: five for training, twenty for the test. No subject is in both parts.

slow_line = cj.clinics.Device(pole_hz=(6.0, 6.0))
clinic = cj.cohort("population", subjects=25, seed=1, device=slow_line)
names = [person.subject for person in clinic.recordings]
labelled = clinic.windows().of(names[:5])
test = clinic.windows(hop_s=4).of(names[5:])  # windows that do not overlap

# %%
# θ_t = {θ_f, θ_r} starts from the source network and minimises the squared error of the wave.

net = cj.load("radial")
tuned = cj.transfer(net, "fine_tuning", labelled=labelled, budget=cj.Budget(steps=150, seed=0))
print(tuned.reason)

# %%
# Errors of each test subject.

before = cj.evaluate(net, test).subjects["rmse_mmhg"]
after = cj.evaluate(tuned, test).subjects["rmse_mmhg"]
print(f"RMSE unchanged {before.mean():.2f} mmHg, fine-tuned {after.mean():.2f} mmHg, 20 subjects (in silico)")
print(f"smaller after fine-tuning in {(after < before).sum()} of 20 subjects (in silico)")

# %%

order, rank = before.sort_values().index, np.arange(1, len(before) + 1)
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.vlines(rank, before[order], after[order], color=GREY, lw=1)
axes.plot(rank, before[order], "o", color=ORANGE, label="unchanged network")
axes.plot(rank, after[order], "s", color=BLUE, label="fine-tuned on five others")
axes.set(xlabel="test subject, by the first error", ylabel="RMSE of the wave [mmHg]", ylim=(0, None), title="in silico")
axes.set_xticks(rank)
axes.legend(frameon=False)
plt.show()
