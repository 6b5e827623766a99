"""Trains models/scorecard.json on data/train.csv: a logistic regression by gradient descent, with Python alone.

Prints the loss of each epoch, which `gauntlet train` watches. Usage: python3 train.py
"""
import csv
import json
import math
import os
import pathlib
import random

HERE = pathlib.Path(__file__).parent
SEED = int(os.environ.get("GAUNTLET_SEED", "7"))
EPOCHS = 40
RATE = 0.3
BATCH = 32


def load(path):
    """Rows of numbers and their labels, in the order of the file."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("customer_id", "churn")]
    return names, [[float(row[name]) for name in names] for row in rows], [int(row["churn"]) for row in rows]


def scaling(rows):
    """Mean and standard deviation of each column."""
    columns = list(zip(*rows))
    means = [sum(column) / len(column) for column in columns]
    spreads = [
        math.sqrt(sum((x - mean) ** 2 for x in column) / len(column)) or 1.0 for column, mean in zip(columns, means)
    ]
    return means, spreads


def probability(weights, bias, row):
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, bias + sum(w * x for w, x in zip(weights, row))))))


def main():
    names, rows, labels = load(HERE / "data" / "train.csv")
    means, spreads = scaling(rows)
    rows = [[(x - m) / s for x, m, s in zip(row, means, spreads)] for row in rows]
    weights, bias = [0.0] * len(names), 0.0
    order = list(range(len(rows)))
    chance = random.Random(SEED)
    for epoch in range(EPOCHS):
        chance.shuffle(order)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            errors = [probability(weights, bias, rows[i]) - labels[i] for i in batch]
            for j in range(len(weights)):
                weights[j] -= RATE * sum(e * rows[i][j] for e, i in zip(errors, batch)) / len(batch)
            bias -= RATE * sum(errors) / len(batch)
        scores = [probability(weights, bias, row) for row in rows]
        loss = -sum(math.log(max(1e-12, p if y else 1 - p)) for p, y in zip(scores, labels)) / len(labels)
        right = sum((p >= 0.5) == (y == 1) for p, y in zip(scores, labels)) / len(labels)
        print(f"epoch={epoch} loss={loss:.6f} accuracy={right:.4f}")

    # Folded back, so that the card takes a customer's plain numbers.
    plain = [w / s for w, s in zip(weights, spreads)]
    offset = bias - sum(w * m for w, m in zip(plain, means))
    (HERE / "models").mkdir(exist_ok=True)
    card = {"features": names, "weights": plain, "bias": offset}
    (HERE / "models" / "scorecard.json").write_text(json.dumps(card, indent=1) + "\n")
    (HERE / "metrics.json").write_text(json.dumps({"loss": loss, "accuracy": right}, indent=1) + "\n")


if __name__ == "__main__":
    main()
