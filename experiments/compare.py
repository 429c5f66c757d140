"""Runs `cap-jax compare`: cap_jax/cli/compare.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("compare")
