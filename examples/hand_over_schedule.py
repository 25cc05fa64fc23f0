"""Hand a running training over to AdamW and a fixed schedule: `python hand_over_schedule.py`.

The learned optimizer drives the first half. What it found, a learning rate and the second moment
of each tensor, then goes on under torch's own AdamW with a linear decay.
"""

import argparse

import torch
from sklearn.datasets import load_digits

from metaopt.optim import LSTMOptimizer

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=400)
arguments = parser.parse_args()
half = arguments.steps // 2

inputs, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
inputs = inputs.float() / 16
generator = torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(),
    torch.nn.Linear(64, 10),
)  # fmt: skip


def train(optimizer, n_steps, schedule=None):
    for _ in range(n_steps):
        rows = torch.randint(len(inputs), (64,), generator=generator)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
        loss.backward()
        if schedule is None:
            optimizer.step(loss=loss)
        else:
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(model(inputs), labels).item()


learned = LSTMOptimizer(model.named_parameters(), total_steps=arguments.steps)
print(f"After {half} steps of LSTMOptimizer: loss {train(learned, half):.4f}")

learned.eval()  # the average of the steps so far is where to go on from
rates = learned.learning_rates()
fixed = torch.optim.AdamW(
    [{"params": [p], "lr": rates[name]} for name, p in model.named_parameters()], weight_decay=0.0
)
for p in model.parameters():
    fixed.state[p] = {
        "step": torch.tensor(float(half)),
        "exp_avg": torch.zeros_like(p),
        "exp_avg_sq": learned.state[p]["exp_avg_sq"].clone(),
    }
schedule = torch.optim.lr_scheduler.LinearLR(fixed, 1.0, 0.0, total_iters=arguments.steps - half)
print("Handed over at " + ", ".join(f"{name} {rate:.1e}" for name, rate in rates.items()))
loss = train(fixed, arguments.steps - half, schedule)
print(f"After {arguments.steps - half} more of AdamW: loss {loss:.4f}")
