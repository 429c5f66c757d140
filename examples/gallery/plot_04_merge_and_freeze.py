"""
Merge and freeze by path
========================

Which parameters does a training change, and how are two networks merged? A strategy freezes paths of the parameter
tree, and ``merge`` joins two trees and reports on every leaf. The windows are from a mock circulatory loop (*in vitro*).
"""

import collections

import jax
import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj

# %%
# All parameters come from the source. The first layers are frozen by their paths.

frozen = ("f/embed", "f/encoder_0", "f/encoder_1", "f/layer_0", "f/layer_1")
mine = cj.Strategy(
  equation="θ_t = {θ_embed, θ_encoder, θ_0, θ_1 frozen, the rest trained}",
  init_from_source=("f", "r"),
  stages=(cj.Stage(freeze=frozen),),
  learning_rate=1e-3,
  name="late layers",
)
net = cj.load("radial")
normal, shock = cj.datasets.rig("NV").windows(), cj.datasets.rig("CS").windows(hop_s=4)  # two states of the loop
tuned = cj.transfer(net, mine, labelled=normal, budget=cj.Budget(steps=100, seed=0))

# %%
# The merged network has the tuned network's head ``r`` and the source's extractor ``f``.

theta, report = cj.merge(tuned.params, net.params, init_from_source=("r",))
merged = net.with_params(theta, of=tuned)
for fate in dict.fromkeys(leaf.fate for leaf in report):
  print(f"{fate}: {sum(np.prod(leaf.shape) for leaf in report if leaf.fate == fate):,} parameters")

# %%
# The three networks on the other state of the loop. The head was trained with another extractor, so the merged network
# may be worse than both.

for name, one in (("source", net), ("tuned", tuned), ("merged", merged)):
  rmse = cj.evaluate(one, shock).summary.loc["rmse_mmhg", "mean"]
  print(f"{name}: RMSE {rmse:.2f} mmHg on 14 records in cardiogenic shock (in vitro)")

# %%
# The change of a path is ‖θ − θ_source‖ / ‖θ_source‖ over its leaves. It is zero where a path was frozen.


def norms(params):
  """Returns the sum of squares of the leaves below each path of two keys, or of one in the head."""
  sums = collections.Counter()
  for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
    sums["/".join(key.key for key in path[:2])] += float(np.square(leaf).sum())
  return sums


before, moved = norms(net.params), norms(jax.tree.map(lambda a, b: a - b, tuned.params, net.params))
change = {path: 100 * np.sqrt(moved[path] / before[path]) for path in reversed(before)}
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
bars = axes.barh(list(change), list(change.values()), color="#0072B2")
axes.bar_label(bars, ["frozen" if path in frozen else f"{value:.1f}" for path, value in change.items()], padding=3)
axes.set(xlabel="change of the parameters [% of their norm]", title="tuned on measured waves, in vitro")
axes.margins(x=0.1)
plt.show()
