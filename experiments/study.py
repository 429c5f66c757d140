"""Runs `cap-jax study`: cap_jax/cli/study.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("study")
