"""Three measures of disentanglement that readers expect beside the mutual information gap: DCI, SAP and the
FactorVAE score.

Each follows its paper in the form, and with the numbers of samples, that Locatello et al. 2019 (arXiv
1811.12359, appendix C; code disentanglement_lib) used on dSprites, so that values can be set beside published
ones. All look at posterior means alone, use all factors (on dSprites five, shape among them), draw images
with replacement, and are better when larger.

`mean` [N, J] holds the posterior means in data-set order, the last of the factors `factor_sizes` varying
fastest.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.svm import LinearSVC
from torch import Tensor

from lib.progress import Progress

LEAST_STANDARD_DEVIATION = 0.05  # of the means: latents below it take no part in the FactorVAE score


def _draw(
    mean: Tensor, factor_sizes: tuple[int, ...], samples: int, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means [S, J] of images drawn with replacement and their factor values [S, K]."""
    if mean.dim() != 2 or len(mean) != math.prod(factor_sizes):
        raise ValueError(
            f"mean has shape {list(mean.shape)}; factor sizes {factor_sizes} need [{math.prod(factor_sizes)}, J]."
        )
    rows = torch.randint(len(mean), (samples,), generator=generator)
    return mean.cpu()[rows].double().numpy(), torch.stack(torch.unravel_index(rows, factor_sizes), 1).numpy()


@dataclass(frozen=True)
class DCI:
    """`disentanglement`: each latent matters for one factor only; `completeness`: each factor needs one
    latent only; `informativeness`: share of factor values told correctly, on the training and on the test
    sample, mean over factors; `importance` [K, J]: how much latent j serves to tell factor k (each row sums
    to 1)."""

    disentanglement: float
    completeness: float
    informativeness_train: float
    informativeness_test: float
    importance: np.ndarray


def dci(
    mean: Tensor,
    factor_sizes: tuple[int, ...],
    generator: torch.Generator,
    train_samples: int = 10_000,
    test_samples: int = 5_000,
    progress: bool = False,
) -> DCI:
    """Disentanglement, completeness, informativeness: Eastwood and Williams, ICLR 2018, section 2.

    The predictors are scikit-learn's gradient boosted trees with their defaults, one classifier per factor,
    and the importances those of its trees, as in Locatello et al. (the paper itself used a lasso and random
    forests). One tree per factor value and round: about five minutes on one core for dSprites.
    """
    codes, values = _draw(mean, factor_sizes, train_samples, generator)
    test_codes, test_values = _draw(mean, factor_sizes, test_samples, generator)
    seed = int(torch.randint(2**31, (), generator=generator))
    importance, train, test = [], [], []
    for k in Progress(range(len(factor_sizes)), desc="DCI", unit="factor", disable=not progress, dynamic_ncols=True):
        model = GradientBoostingClassifier(random_state=seed).fit(codes, values[:, k])
        importance.append(model.feature_importances_)
        train.append(model.score(codes, values[:, k]))
        test.append(model.score(test_codes, test_values[:, k]))
    importance = np.array(importance)
    return DCI(
        disentanglement=concentration(importance.T),
        completeness=concentration(importance),
        informativeness_train=float(np.mean(train)),
        informativeness_test=float(np.mean(test)),
        importance=importance,
    )


def concentration(importance: np.ndarray) -> float:
    """How far each row [A, B] of importances rests on one column: 1 - entropy to the base B, rows weighted by
    their sums.

    The importances of latents for factors [J, K] give the disentanglement, transposed the completeness. Rows
    of zeros, of latents that no factor uses, have no weight; where nothing matters at all, the value is 0.
    """
    total = importance.sum()
    if total == 0:
        return 0.0
    sums = importance.sum(1, keepdims=True)
    share = importance / np.where(sums > 0, sums, 1)
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1)), 1) / math.log(importance.shape[1])
    return float(np.sum((1 - entropy) * sums[:, 0]) / total)


def sap_score(
    mean: Tensor,
    factor_sizes: tuple[int, ...],
    generator: torch.Generator,
    train_samples: int = 10_000,
    test_samples: int = 5_000,
) -> float:
    """Separated attribute predictability, in [0, 1): Kumar et al., ICLR 2018 (arXiv 1711.00848), section 3.

    How well each latent alone tells a factor's value, and the difference between the best two latents, mean
    over factors. All factors count as classes, told by a linear support vector machine with C = 0.01 and
    balanced classes; its score is the accuracy on the test sample. Even a perfect code stays below 1: the
    second latent scores by chance, and of many ordered values a linear machine tells only a few (three
    values: 0.67; thirty-two: 0.03).
    """
    codes, values = _draw(mean, factor_sizes, train_samples, generator)
    test_codes, test_values = _draw(mean, factor_sizes, test_samples, generator)
    if codes.shape[1] < 2:
        raise ValueError("mean has one latent; the score compares the best two.")
    seed = int(torch.randint(2**31, (), generator=generator))
    accuracy = np.zeros((len(factor_sizes), codes.shape[1]))
    for k in range(len(factor_sizes)):
        for j in range(codes.shape[1]):
            model = LinearSVC(C=0.01, class_weight="balanced", random_state=seed)
            model.fit(codes[:, [j]], values[:, k])
            accuracy[k, j] = model.score(test_codes[:, [j]], test_values[:, k])
    best = np.sort(accuracy, axis=1)
    return float(np.mean(best[:, -1] - best[:, -2]))


def factor_vae_score(
    mean: Tensor,
    factor_sizes: tuple[int, ...],
    generator: torch.Generator,
    train_votes: int = 10_000,
    test_votes: int = 5_000,
    images_per_vote: int = 64,
    variance_samples: int = 10_000,
) -> float:
    """The FactorVAE score: Kim and Mnih, ICML 2018 (arXiv 1802.05983), section 4.

    A vote: fix one factor, chosen at random, draw the others for 64 images, and name the latent whose
    variance over them, relative to its variance over all images, is smallest. Each latent then stands for the
    factor it was named for most often in the training votes; the score is the share of test votes it gets
    right. Latents whose standard deviation over all images is below 0.05 have collapsed and are left out;
    where all have, the score is 0.
    """
    codes, _ = _draw(mean, factor_sizes, variance_samples, generator)
    variance = codes.var(0, ddof=1)
    active = np.sqrt(variance) >= LEAST_STANDARD_DEVIATION
    if not active.any():
        return 0.0
    relevant = mean.cpu().double()[:, active] / torch.from_numpy(np.sqrt(variance[active]))

    def table(votes: int) -> np.ndarray:
        """Counts [active latents, K] of which latent was named while which factor was fixed."""
        factor = torch.randint(len(factor_sizes), (votes,), generator=generator)
        rows = torch.zeros(votes, images_per_vote, dtype=torch.long)
        for k, size in enumerate(factor_sizes):
            values = torch.randint(size, (votes, images_per_vote), generator=generator)
            rows = rows * size + torch.where((factor == k)[:, None], values[:, :1], values)
        named = relevant[rows].var(1).argmin(1)  # [V]
        counts = torch.bincount(named * len(factor_sizes) + factor, minlength=active.sum() * len(factor_sizes))
        return counts.view(-1, len(factor_sizes)).numpy()

    stands_for = table(train_votes).argmax(1)
    test = table(test_votes)
    return float(test[np.arange(len(test)), stands_for].sum() / test_votes)
