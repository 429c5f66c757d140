"""Runs `cap-jax tune`: cap_jax/cli/tune.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("tune")
