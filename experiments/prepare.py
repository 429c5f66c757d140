"""Runs `cap-jax prepare`: cap_jax/cli/prepare.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("prepare")
