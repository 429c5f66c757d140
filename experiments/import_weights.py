"""Runs `cap-jax import`: cap_jax/cli/import_weights.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("import")
