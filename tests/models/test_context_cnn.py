"""The network that reads its context: its spectra, its start, and what a clinic changes."""

import jax
import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import batches, scalings
from cap_jax.models import adaptor, context_cnn, net
from cap_jax.signals import spectra
from cap_jax.types import InputError
from tests.train import people

RNG = np.random.default_rng(0)
MODEL = config.Model(extractor="context_cnn", channels=8, layers=2, head_channels=8)


def waves(subjects, each, noise=0.0, clinic=None, scale=1.0):
  """Windows of a beat of 1.25 Hz at random phases, with noise."""
  t = np.arange(500) / 125
  x = [
    95 + scale * 20 * np.sin(2 * np.pi * 1.25 * (t + RNG.random())) + noise * RNG.normal(size=500)
    for _ in range(subjects * each)
  ]
  x_bt = np.array(x, np.float32)
  windows = batches.Pairs(x_bt, x_bt - 1, np.repeat([f"p{k}" for k in range(subjects)], each))
  return windows if clinic is None else people.in_clinics(windows, np.repeat(np.asarray(clinic, np.float32), each))


def split(c_bq):
  """The subject's spectrum, the clinic's mean and SD, the labels."""
  return np.split(c_bq, spectra.BANDS * np.arange(1, 4), axis=1)


def scaling(training):
  return scalings.fit(training, reads_context=True)


@pytest.mark.quick
def test_the_power_of_white_noise_is_its_variance_in_every_band():
  power = np.exp(spectra.log_power(0.5 * RNG.normal(size=(400, 500)).astype(np.float32))).mean(0)
  np.testing.assert_allclose(power, 0.25, rtol=0.15)
  floor = spectra.log_power(np.ones((1, 500), np.float32))
  np.testing.assert_allclose(floor, 2 * np.log(0.002), rtol=1e-5)


@pytest.mark.quick
def test_a_tone_lies_in_its_band():
  t = np.arange(500) / 125
  peak = spectra.log_power(np.sin(2 * np.pi * 9.5 * t, dtype=np.float32)[None])[0].argmax()
  assert 0.5 + 0.75 * peak == pytest.approx(9.5)  # Hz at 125 Hz


@pytest.mark.quick
def test_the_context_is_that_of_the_subject_and_of_the_clinic():
  training = waves(20, 3, noise=0.5)
  of = scaling(training)
  quiet, loud = waves(6, 3, noise=0.05), waves(6, 3, noise=2.0)
  _, alone_bq = of.inputs(quiet, MODEL)
  assert alone_bq.shape == (18, spectra.CONTEXT_SIZE)
  own, mean, sd, labels = split(alone_bq)
  np.testing.assert_array_equal(own, mean)  # of an unknown clinic each subject stands for its own
  np.testing.assert_array_equal(sd, 0)
  np.testing.assert_array_equal(labels, 0)
  np.testing.assert_array_equal(own[0], own[1])  # windows of a subject share its spectrum
  assert np.abs(own[0] - own[3]).max() > 0
  _, known_bq = of.at_clinic(loud.unlabelled()).inputs(quiet, MODEL)
  own_too, mean, sd, _ = split(known_bq)
  np.testing.assert_array_equal(own_too, own)
  assert (mean[0, 40:] > own[0, 40:]).all()  # the noise of the clinic
  assert np.ptp(mean, axis=0).max() == 0
  assert (sd[0] > 0).all()


@pytest.mark.quick
def test_windows_of_several_clinics_meet_others_of_their_own():
  """A window knows some other subjects of its clinic, or nobody; never itself, never another clinic."""
  of = scaling(waves(20, 3, noise=0.5))
  windows = waves(10, 40, noise=0.3, clinic=[0] * 4 + [1] * 6)
  windows.x_bt[:] += np.repeat(0.05 * np.arange(10), 40)[:, None] * RNG.normal(size=windows.x_bt.shape)
  _, c_bq = of.inputs(windows, MODEL)
  own_bk, mean_bk, sd_bk, labels_bk = split(c_bq)
  own_s, clinic_s = own_bk[::40].astype(float), np.array([0] * 4 + [1] * 6)
  numbers = []
  for row in range(0, 400, 3):
    me = row // 40
    others = [s for s in range(10) if clinic_s[s] == clinic_s[me] and s != me]
    if np.array_equal(mean_bk[row], own_bk[row]):
      numbers.append(0)
      np.testing.assert_array_equal(sd_bk[row], 0)
      continue
    # the mean is one of some others, each with the same weight
    weight_s = np.linalg.lstsq(own_s[others].T, mean_bk[row], rcond=None)[0]
    np.testing.assert_allclose(own_s[others].T @ weight_s, mean_bk[row], atol=1e-3)
    number = round(1 / weight_s.max())
    np.testing.assert_allclose(sorted(weight_s), [0] * (len(others) - number) + [1 / number] * number, atol=0.02)
    numbers.append(number)
  assert 0.1 < np.mean(np.array(numbers) == 0) < 0.4
  assert set(numbers) == {0, 1, 2, 3, 4, 5}
  np.testing.assert_array_equal(labels_bk, 0)


@pytest.mark.quick
def test_labels_of_a_clinic_are_seen_by_its_others():
  of = scaling(waves(20, 3, noise=0.5))
  windows = waves(6, 2, noise=0.3, clinic=[0, 0, 0, 1, 1, 1])
  windows.membership.labelled_b[:] = np.repeat([1, 0, 0, 0, 1, 0], 2)
  windows.y_bt[:] *= np.repeat(1 + 0.1 * np.arange(6), 2)[:, None]
  _, c_bq = of.inputs(windows, MODEL)
  labels_bk = split(c_bq)[3]
  for number, (clinic, others) in enumerate([(0, []), (0, [0]), (0, [0]), (1, [4]), (1, []), (1, [4])]):
    rows = windows.subject_b == f"p{number}"
    bare, whole = (
      batches.Pairs(part.x_bt, part.y_bt, part.subject_b)
      for part in (windows.at(rows), windows.at(windows.membership.clinic_b == clinic))
    )
    known = whole.of([f"p{k}" for k in others]) if others else None
    _, apart = of.at_clinic(whole, known).inputs(bare, MODEL)
    np.testing.assert_allclose(labels_bk[rows], split(apart)[3], atol=2e-3)


@pytest.mark.quick
def test_the_response_is_that_of_the_transducer():
  """A delay turns the phase, a gain adds to the power and to the pulse, a zero to the mean."""
  t = np.arange(500) / 125
  y = np.sin(2 * np.pi * 1.25 * t) + 0.3 * np.sin(2 * np.pi * 5.0 * t)
  x = 2 * (np.sin(2 * np.pi * 1.25 * (t - 0.05)) + 0.3 * np.sin(2 * np.pi * 5.0 * (t - 0.05))) + 0.7
  response = spectra.response(x[None].astype(np.float32), y[None].astype(np.float32))[0]
  power, real, imaginary, (level, pulse) = np.split(response, [60, 80, 100])
  for band, f_hz in ((1, 1.25), (6, 5.0)):
    assert power[band] == pytest.approx(2 * np.log(2), abs=0.01)
    expected = np.exp(-2j * np.pi * f_hz * 0.05)
    np.testing.assert_allclose([real[band], imaginary[band]], [expected.real, expected.imag], atol=0.02)
  assert level == pytest.approx(0.7, abs=1e-3)
  assert pulse == pytest.approx(np.log(2), abs=0.01)


@pytest.mark.quick
def test_one_name_in_two_clinics_is_two_records():
  of = scaling(waves(20, 3, noise=0.5))
  one, other = waves(1, 2, noise=0.05), waves(1, 2, noise=3.0)
  both = batches.ClinicPairs(
    *(np.concatenate([getattr(part, name) for part in (one, other)]) for name in ("x_bt", "y_bt", "subject_b")),
    membership=batches.Membership(np.array([0, 0, 1, 1], np.float32), np.zeros(4, np.float32)),
  )
  own = of.inputs(both, MODEL)[1][:, : spectra.BANDS]
  assert (own[2, 40:] - own[0, 40:] > 0.5).all()


@pytest.mark.quick
def test_a_fresh_network_ignores_the_context():
  network = net.make_net(MODEL)
  assert network.covariates == spectra.CONTEXT_SIZE
  params = network.init(jax.random.key(0), 500)
  x = RNG.normal(size=(2, 500)).astype(np.float32)
  c = RNG.normal(size=(2, 2, spectra.CONTEXT_SIZE)).astype(np.float32)
  outputs = [network.apply(params, x, c_bq) for c_bq in c]
  np.testing.assert_allclose(*outputs, atol=1e-6)
  params["f"]["layer_0"]["film"]["kernel"] = 0.1 * np.ones_like(params["f"]["layer_0"]["film"]["kernel"])
  outputs = [network.apply(params, x, c_bq) for c_bq in c]
  assert np.abs(outputs[0] - outputs[1]).max() > 1e-4


@pytest.mark.quick
def test_its_section_is_the_inverse_of_a_transducer():
  """x + 2ζ/ω ẋ + ẍ/ω² undoes the line of a tone."""
  fs, hz, natural, damping = 125.0, 3.0, 9.0, 0.2
  t = np.arange(1000) / fs
  response = 1 / (1 - (hz / natural) ** 2 + 2j * damping * hz / natural)
  recorded = np.real(response * np.exp(2j * np.pi * hz * t)).astype(np.float32)[None]
  omega = 2 * np.pi * natural / fs  # per sample
  c_1, c_2 = 2 * damping / omega, 1 / omega**2
  first, second = np.moveaxis(np.asarray(context_cnn.derivatives(recorded)), -1, 0)
  undone = recorded + c_1 * first + c_2 * second
  np.testing.assert_allclose(undone[0, 50:-50], np.cos(2 * np.pi * hz * t)[50:-50], atol=5e-3)
  np.testing.assert_allclose(
    first[0], np.asarray(adaptor.filtered(recorded, np.asarray(adaptor.gaussian_derivatives()[0])))[0], atol=1e-5
  )


@pytest.mark.quick
def test_a_scaling_without_spectra_is_refused():
  windows = waves(2, 2)
  with pytest.raises(InputError, match="extractor context_cnn: the source network reads no context"):
    scalings.fit(windows).inputs(windows, MODEL)
