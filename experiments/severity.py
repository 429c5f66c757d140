"""Runs `cap-jax severity`: cap_jax/cli/severity.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("severity")
