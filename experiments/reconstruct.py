"""Runs `cap-jax reconstruct`: cap_jax/cli/reconstruct.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("reconstruct")
