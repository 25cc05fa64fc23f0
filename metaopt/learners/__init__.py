"""Meta-learners: each family of the literature in one short file, against one contract.

A learner holds settings, never numbers that are learned: those are its meta-parameters θ, a
dict of tensors that ``meta_fit`` returns. ``learner.adapt(theta, support)`` gives a predictor.
"""

from metaopt.learners.attention import NeighbourTasks
from metaopt.learners.bayesian_linear import BayesianLinear
from metaopt.learners.deep_kernel_gp import DeepKernelGP
from metaopt.learners.export import export_learner
from metaopt.learners.learner import Learner, Predictor, Theta, query_losses
from metaopt.learners.losses import Gaussian, cross_entropy, gaussian_nll, squared_error
from metaopt.learners.lstm import LSTMLearner
from metaopt.learners.maml import MAML
from metaopt.learners.meta_fit import Fit, meta_fit
from metaopt.learners.meta_sgd import MetaSGD
from metaopt.learners.network import MLP, ConvNet, Network
from metaopt.learners.prototypes import Prototypes
from metaopt.learners.reptile import Reptile
from metaopt.learners.ridge import Ridge
from metaopt.learners.rl2 import RL2
from metaopt.learners.tnet import TNet
from metaopt.learners.transformer import NeuralProcess

__all__ = [
    "MAML",
    "MLP",
    "RL2",
    "BayesianLinear",
    "ConvNet",
    "DeepKernelGP",
    "Fit",
    "Gaussian",
    "LSTMLearner",
    "Learner",
    "MetaSGD",
    "NeighbourTasks",
    "Network",
    "NeuralProcess",
    "Predictor",
    "Prototypes",
    "Reptile",
    "Ridge",
    "TNet",
    "Theta",
    "cross_entropy",
    "export_learner",
    "gaussian_nll",
    "meta_fit",
    "query_losses",
    "squared_error",
]
