"""Packages that only some parts need, and the extra of cap_jax that brings each."""

EXTRAS = {
  "h5py": "data",
  "pyarrow": "data",
  "vitaldb": "data",
  "wfdb": "data",
  "matplotlib": "report",
  "plotly": "report",
  "tensorboardX": "tensorboard",
}


def remedy(error: ModuleNotFoundError) -> str | None:
  """The line that says how to install what an import misses; None where no extra brings it."""
  package = (error.name or "").partition(".")[0]
  extra = EXTRAS.get(package)
  return extra and f"{package} is not installed; install it with: python -m pip install 'cap_jax[{extra}]'"
