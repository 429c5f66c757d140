"""
Export a network and read it back
=================================

Does an exported network give the same answers? The function of a window is written as StableHLO and called without the
package. The page for a browser contains the same network. The waves are from a mock circulatory loop (*in vitro*).
"""

import json
import pathlib
import tempfile

import jax.export
import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj
from cap_jax import export
from cap_jax.export import web_page

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#929292"

# %%
# The folder has the two functions, and a manifest that says how to call them.

net = cj.load("radial")
scratch = tempfile.TemporaryDirectory()
folder = pathlib.Path(scratch.name)
export.write(folder / "radial", net.checkpoint, ("stablehlo",))
manifest = json.loads((folder / "radial" / "manifest.json").read_text())
print(sorted(file.name for file in (folder / "radial").iterdir()))

# %%
# ``log_power`` computes the spectrum of each window, and ``answer`` reads its mean over the record.

one = cj.datasets.rig("NV").recordings[0]
windows = cj.windows(one.signals["radial"], one.signals["aortic_root"], fs_hz=125, subject=one.subject, hop_s=4)
x_bt = windows.x_bt.astype(np.float32)
answer, log_power = (
  jax.export.deserialize((folder / "radial" / f"{name}.stablehlo").read_bytes()) for name in ("answer", "log_power")
)
power_bk = np.asarray(log_power.call(x_bt))
aortic_bt, sigma_bt, ood_b = answer.call(x_bt, np.broadcast_to(power_bk.mean(0), power_bk.shape))
difference_bt = np.abs(np.asarray(aortic_bt) - net.predict(windows))
print(f"largest difference {difference_bt.max():.1e} mmHg over {len(x_bt)} windows (in vitro)")

# %%
# The page is one file, which needs neither Python nor a connection.

web_page.write(folder / "radial.html", [net.checkpoint])
print(f"the page of the browser has {(folder / 'radial.html').stat().st_size / 1e6:.2f} MB")
scratch.cleanup()

# %%
# One window by the package and by the exported function, and their difference.

time_s = np.arange(x_bt.shape[1]) / 125
figure, (upper, lower) = plt.subplots(2, 1, figsize=(7, 4.5), sharex=True, layout="constrained")
upper.plot(time_s, x_bt[0], color=GREY, label="radial, measured")
upper.plot(time_s, net.predict(windows)[0], color=BLUE, lw=3, label="aortic, package")
upper.plot(time_s, aortic_bt[0], "--", color=ORANGE, label="aortic, StableHLO")
upper.set(ylabel="pressure [mmHg]", title="in vitro")
lower.plot(time_s, 1e6 * difference_bt[0], color=ORANGE)
lower.set(xlabel="time [s]", ylabel="difference [10⁻⁶ mmHg]")
figure.legend(loc="outside lower center", ncols=3, frameon=False)
plt.show()
