"""Compares the virtual cohort with published values by decade, and prints the page.

python -m experiments.physiology [--subjects=4374] [--seed=0] [--causes] [--output=docs/physiology.md]
"""

import tqdm
from absl import flags

from cap_jax import files
from cap_jax.cli import output_folders
from cap_jax.haemodynamics import physiology
from cap_jax.report import physiology as page

_SUBJECTS = flags.DEFINE_integer("subjects", 4374, "number of virtual subjects", lower_bound=100)
_SEED = flags.DEFINE_integer("seed", 0, "random seed", lower_bound=0, upper_bound=2**32 - 1)
_CAUSES = flags.DEFINE_bool("causes", False, "add an ablation table, with one part of the model changed at a time")
_OUTPUT = flags.DEFINE_string("output", None, "Markdown file to write, replaced if it exists")


def main() -> None:
  output_folders.check_file(_OUTPUT.value, "--output")
  rows, form_factors = physiology.compare(_SUBJECTS.value, _SEED.value)
  command = f"python -m experiments.physiology --subjects={_SUBJECTS.value} --seed={_SEED.value}"
  command += " --causes" if _CAUSES.value else ""
  text = page.markdown(rows, form_factors, _SUBJECTS.value, _SEED.value, command)
  if _CAUSES.value:
    variants = tqdm.tqdm(physiology.VARIANTS.items(), desc="variants", unit="", leave=False)
    text += page.causes({name: physiology.compare(_SUBJECTS.value, _SEED.value, v)[0] for name, v in variants})
  if _OUTPUT.value:
    with files.write_atomically(_OUTPUT.value) as (partial,), open(partial, "w", encoding="utf-8") as file:
      file.write(text)
  print(text, end="")
