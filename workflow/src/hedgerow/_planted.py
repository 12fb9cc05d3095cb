"""What simulations are made of: keyed streams of random numbers, noise of a given spectrum, a smooth scalp.

In: seeds and sizes. Out: arrays. Pure; lengths in m, frequencies in Hz.
"""

import numpy as np

STREAMS = ("sex", "person", "events", "background", "alpha", "artefacts", "sensors")


def rng(seed, subject, stream):
    """Random generator of one stream: keyed, so that no draw depends on how much another part draws."""
    return np.random.default_rng([seed, subject, STREAMS.index(stream)])


def sexes(subject, seed):
    """Sex of a subject (from 1): in every pair of them, 1 and 2, 3 and 4 ..., one is ``F`` and one ``M``."""
    pair = rng(seed, (subject - 1) // 2, "sex").permutation(["F", "M"])
    return str(pair[(subject - 1) % 2])


def noise(generator, count, samples, sfreq, power, above=0.0):
    """Gaussian noise (count, samples) of power spectrum ``power(f)``, variance 1 in the frequencies over `above`."""
    freqs = np.fft.rfftfreq(samples, 1 / sfreq)
    weight = np.zeros_like(freqs)
    weight[1:] = power(freqs[1:])
    weight *= samples**2 / (4 * weight[freqs > above].sum())
    spectrum = generator.standard_normal((count, len(freqs))) + 1j * generator.standard_normal((count, len(freqs)))
    return np.fft.irfft(spectrum * np.sqrt(weight), samples)


def pink(f):
    """Power of the background at `f` Hz: 1/f^1.3, level below 0.05 Hz."""
    return np.maximum(f, 0.05) ** -1.3


def alpha(generator, samples, sfreq, hz, log10_power, closed):
    """Two narrow-band sources (2, samples) around `hz`, whose power follows the eyes.

    `log10_power` holds it with eyes ``open`` and ``closed``; `closed` are the intervals (s) with closed eyes, entered
    and left within half a second.
    """
    times = np.arange(samples) / sfreq
    state = np.zeros(samples)
    for start, end in closed:
        state += np.clip((times - start) / 0.5, 0, 1) * np.clip((end - times) / 0.5, 0, 1)
    amplitude = 10 ** ((log10_power["open"] + state * (log10_power["closed"] - log10_power["open"])) / 2)
    return noise(generator, 2, samples, sfreq, lambda f: np.exp(-((f - hz) ** 2) / (2 * 0.6**2))) * amplitude


def muscle(generator, samples, sfreq):
    """A burst of muscle (samples,): noise of 20-70 Hz and variance 1, with ramps of 50 ms."""
    course = noise(generator, 1, samples, sfreq, lambda f: ((f >= 20) & (f <= 70)).astype(float))[0]
    return course * np.minimum(1, (np.minimum(np.arange(samples), np.arange(samples)[::-1]) + 1) / (0.05 * sfreq))


def kernel(sensors, points, reach):
    """Smooth spatial kernel (sensors, points): exp(-d²/2 reach²) of the distances between both, (n, 3) in m."""
    squared = ((sensors[:, None] - np.atleast_2d(points)[None]) ** 2).sum(-1)
    return np.exp(-squared / (2 * reach**2))


def scalp(count):
    """`count` points (count, 3) in m, evenly spread over the part of the head that electrodes cover."""
    index = np.arange(count) + 0.5
    height = 1 - 1.5 * index / count  # from the vertex to half a radius below the centre
    angle = np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], 1) * 0.09 + (0, -0.015, 0.01)


def mixing(sensors):
    """How 70 sources reach the sensors, (sensors, 70), rows of norm 1: sixty near them a few, ten deep ones many.

    So every channel correlates with its neighbours.
    """
    near, far = kernel(sensors, scalp(60), 0.045), kernel(sensors, scalp(10) * 0.6, 0.09)
    return np.hstack([g / np.linalg.norm(g, axis=1, keepdims=True) for g in (near, far)]) / np.sqrt(2)
