"""Sets the virtual cohort beside published values by decade, and prints the page.

python -m experiments.physiology [--subjects=4374] [--seed=0] [--output=docs/physiology.md]
"""

from absl import flags

from cap_jax import files
from cap_jax.evaluation import physiology
from cap_jax.report import physiology as page
from experiments import common

_SUBJECTS = flags.DEFINE_integer("subjects", 4374, "virtual subjects", lower_bound=100)
_SEED = flags.DEFINE_integer("seed", 0, "of the draw", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "Markdown file to write as well; replaced if it exists")


def main() -> None:
  rows, form_factors = physiology.compare(_SUBJECTS.value, _SEED.value)
  command = f"python -m experiments.physiology --subjects={_SUBJECTS.value} --seed={_SEED.value}"
  text = page.markdown(rows, form_factors, _SUBJECTS.value, _SEED.value, command)
  if _OUTPUT.value:
    with files.written_together(_OUTPUT.value) as (partial,), open(partial, "w", encoding="utf-8") as file:
      file.write(text)
  print(text, end="")


if __name__ == "__main__":
  common.launch(main)
