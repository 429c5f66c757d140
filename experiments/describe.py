"""Runs `cap-jax describe`: cap_jax/cli/describe.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("describe")
