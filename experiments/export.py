"""Runs `cap-jax export`: cap_jax/cli/export.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("export")
