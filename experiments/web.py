"""Runs `cap-jax web`: cap_jax/cli/web.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("web")
