"""Recordings for the cleaning, of any size, with numpy and scipy alone: pink sources over the head, and bursts."""

import numpy as np
import scipy.signal

#: Radius of the head in m.
RADIUS = 0.085


def positions(channels):
    """Electrodes spread evenly over the upper part of a head, x to the nose: ndarray (channels, 3), m."""
    height = 1 - 1.3 * (np.arange(channels) + 0.5) / channels
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(channels)
    flat = np.sqrt(1 - height**2)
    return RADIUS * np.stack([flat * np.cos(angle), flat * np.sin(angle), height], axis=1)


def sources(rng, count, samples, sfreq):
    """Noise whose power falls as 1/f from 0.5 Hz: ndarray (count, samples) of SD 1."""
    hz = np.fft.rfftfreq(samples, 1 / sfreq)
    shape = 1 / np.sqrt(np.maximum(hz, 0.5))
    made = np.stack([np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * shape, samples) for _ in range(count)])
    return made / made.std(axis=1, keepdims=True)


def fields(rng, places, count):
    """Smooth topographies of random place, width and sign: ndarray (channels, count), 1 at most."""
    centres = rng.standard_normal((count, 3))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    width = rng.uniform(0.5, 4.0, count)
    return rng.choice([-1.0, 1.0], count) * np.exp(width * (places @ centres.T / RADIUS - 1))


def recording(channels, seconds, sfreq=250.0, seed=0, every=8.0):
    """A recording and what was added to it.

    Parameters
    ----------
    channels : int
    seconds, sfreq : float
    seed : int
    every : float or None
        Mean time in s between bursts of 20-70 Hz, 0.3 to 1.5 s long; None: no bursts.

    Returns
    -------
    brain, artefact : ndarray (channels, samples)
        µV; the recording is their sum.
    places : ndarray (channels, 3)
        In m.
    """
    rng, samples = np.random.default_rng(seed), int(seconds * sfreq)
    places = positions(channels)
    mixing = 20 * fields(rng, places, channels) * np.logspace(0, -1.5, channels)
    brain = mixing @ sources(rng, channels, samples, sfreq)
    for row in brain:
        row += rng.standard_normal(samples)
    artefact = np.zeros_like(brain)
    b, a = scipy.signal.butter(2, [20.0, 70.0], "bandpass", fs=sfreq)
    start = samples if every is None else int(sfreq * rng.exponential(every))
    while start < samples:
        stop = min(start + int(sfreq * rng.uniform(0.3, 1.5)), samples)
        noise = scipy.signal.lfilter(b, a, rng.standard_normal(stop - start))
        artefact[:, start:stop] += rng.uniform(100, 600) * rng.standard_normal((channels, 1)) * noise
        start = stop + int(sfreq * rng.exponential(every))
    return brain, artefact, places
