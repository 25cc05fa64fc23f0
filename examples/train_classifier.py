"""A neural classifier with scikit-learn's fit and predict: `python train_classifier.py`.

The learned optimizer needs no learning rate, so the class has none.
"""

import argparse

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaopt.optim import LSTMOptimizer


class NeuralClassifier(ClassifierMixin, BaseEstimator):
    def __init__(self, hidden=64, epochs=20, batch_size=32, seed=0):
        self.hidden, self.epochs = hidden, epochs
        self.batch_size, self.seed = batch_size, seed

    def fit(self, X, y):
        self.classes_, labels = np.unique(y, return_inverse=True)
        torch.manual_seed(self.seed)
        self.network_ = torch.nn.Sequential(
            torch.nn.Linear(X.shape[1], self.hidden),
            torch.nn.ReLU(),
            torch.nn.Linear(self.hidden, len(self.classes_)),
        )
        data = torch.utils.data.TensorDataset(torch.tensor(X).float(), torch.tensor(labels))
        batches = torch.utils.data.DataLoader(data, self.batch_size, shuffle=True)
        optimizer = LSTMOptimizer(
            self.network_.parameters(), total_steps=self.epochs * len(batches)
        )
        for _ in range(self.epochs):
            for rows, targets in batches:
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(self.network_(rows), targets)
                loss.backward()
                optimizer.step(loss=loss)
        return self

    @torch.no_grad()
    def predict(self, X):
        return self.classes_[self.network_(torch.tensor(X).float()).argmax(1).numpy()]


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=20)
arguments = parser.parse_args()
X, y = load_breast_cancer(return_X_y=True)
model = make_pipeline(StandardScaler(), NeuralClassifier(epochs=arguments.epochs))
scores = cross_val_score(model, X, y, cv=3)
print(f"Accuracy {scores.mean():.4f} in {len(scores)} folds")
