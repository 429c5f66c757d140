"""Runs `cap-jax fit`: cap_jax/cli/fit.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("fit")
