"""The functions of `import cap_jax`.

    net = cap_jax.load("radial")
    out = net.reconstruct(p_mmhg, fs_hz=200)
    pairs = cap_jax.windows(x, y, fs_hz=125, subject=names)
    tuned = cap_jax.transfer(net, "fine_tuning", labelled=pairs)
    table = cap_jax.evaluate(tuned, test_pairs)

They take arrays and return arrays.
"""
