"""Runs `cap-jax cohort`: cap_jax/cli/cohort.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("cohort")
