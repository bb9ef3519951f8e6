"""MNIST-1D's `make_dataset`, with the arithmetic done over all samples at once: the same bits, twelve times sooner.

Random numbers are drawn sample by sample, in the package's order; templates and settings are the package's own. A test
holds the two equal. Drawing twelve data sets was a fifth of a comparison's time.
"""

from __future__ import annotations

import numpy as np

_SMOOTHING = 2  # samples, of the correlated noise: a bare number in the package's transform


def signals(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled inputs (samples, 40) float64, centred to mean 0 and standard deviation 1, and classes (samples,) int64.

    Args:
        samples: a multiple of ten: the classes come out even.
        seed: 0 to 2³² − 1.
    """
    from mnist1d.data import get_dataset_args, get_templates
    from scipy.ndimage import gaussian_filter1d

    settings, templates = vars(get_dataset_args()), get_templates()
    low, high = settings["padding"]
    length = settings["template_len"] + high
    random = np.random.RandomState(seed)
    each = samples // len(templates["y"])
    labels = np.repeat(templates["y"], each)

    x = np.empty((len(labels), length))
    correlated, independent = np.empty_like(x), np.empty_like(x)
    shear = np.empty(len(labels))
    grid = np.linspace(0, 1, length)
    grids = {n: np.linspace(0, 1, n) for n in range(len(templates["t"]) + low, len(templates["t"]) + high + 2)}
    for i, label in enumerate(labels):
        padding = low + int(random.rand() * (high - low + 1))
        padded = np.concatenate([templates["x"][label] + 1e-8, np.zeros(padding)])
        signal = np.interp(grid, grids[len(padded)], padded)
        signal *= 1 + settings["scale_coeff"] * (random.rand() - 0.5)
        shift = random.choice(settings["max_translation"])
        x[i] = np.concatenate([signal[-shift:], signal[:-shift]])
        correlated[i] = random.randn(length)
        independent[i] = random.randn(length)
        shear[i] = random.rand()

    mask = x != 0
    smooth = gaussian_filter1d(settings["corr_noise_scale"] * correlated, _SMOOTHING, axis=1)
    x = mask * x + (1 - mask) * smooth
    x = x + settings["iid_noise_scale"] * independent
    x = x - (settings["shear_scale"] * (shear - 0.5))[:, None] * np.linspace(-0.5, 0.5, length)
    final = np.linspace(0, 1, settings["final_seq_length"])
    x = np.stack([np.interp(final, grid, signal) for signal in x])

    order = random.permutation(len(labels))
    x, labels = x[order], labels[order]
    return (x - x.mean()) / x.std(), labels.astype(np.int64)
