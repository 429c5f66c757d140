"""Runs `cap-jax physiology`: cap_jax/cli/physiology.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("physiology")
