"""What artefacts do to a reconstruction as they get worse: errors of what is given, and what is left out with a reason.

python -m experiments.severity [--source=DIR/checkpoint] [--subjects=24] [--seed=0] [--output=severity]
"""

from absl import flags

from cap_jax import files
from cap_jax.evaluation import severity
from cap_jax.inference import pretrained
from cap_jax.report import figures
from cap_jax.report import severity as page
from cap_jax.train import checkpoint
from experiments import common

_SOURCE = flags.DEFINE_string("source", pretrained.NAME, "checkpoint of the network")
_SUBJECTS = flags.DEFINE_integer("subjects", 24, "virtual subjects", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 60.0, "of each record", lower_bound=8.0)
_SEED = flags.DEFINE_integer("seed", 0, "of subjects and artefacts", lower_bound=0, upper_bound=2**31 - 1)
_OUTPUT = flags.DEFINE_string("output", None, "OUTPUT.md and .png to write as well; replaced if they exist")


def main() -> None:
  for end in (".md", ".png"):
    common.check_file(_OUTPUT.value and _OUTPUT.value + end, "--output")
  trained = checkpoint.load(pretrained.place(_SOURCE.value))
  points = list(severity.curve(trained, _SUBJECTS.value, _SECONDS.value, _SEED.value))
  text = page.markdown(points)
  print(
    f"In silico: {_SUBJECTS.value} virtual subjects, {_SECONDS.value:g} s each; wrong is more than {severity.WRONG_MMHG:g} mmHg off\n"
  )
  print(text, end="")
  if _OUTPUT.value:
    with files.written_together(f"{_OUTPUT.value}.md", f"{_OUTPUT.value}.png") as (table, picture):
      with open(table, "w", encoding="utf-8") as file:
        file.write(text)
      with open(picture, "wb") as image:
        image.write(figures.to_png(page.figure(points)))


if __name__ == "__main__":
  common.launch(main)
