"""Runs `cap-jax evaluate`: cap_jax/cli/evaluate.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("evaluate")
