"""Runs `cap-jax split`: cap_jax/cli/split.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("split")
