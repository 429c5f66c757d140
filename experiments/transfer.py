"""Runs `cap-jax transfer`: cap_jax/cli/transfer.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("transfer")
