"""Runs `cap-jax pretrain`: cap_jax/cli/pretrain.py."""

from cap_jax.cli import launcher

if __name__ == "__main__":
  launcher.launch_command("pretrain")
