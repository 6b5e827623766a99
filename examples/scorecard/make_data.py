"""Writes data/train.csv: 1,000 synthetic customers, the same each time. Usage: python3 make_data.py"""
import csv
import math
import pathlib
import random

HERE = pathlib.Path(__file__).parent


def main():
    chance = random.Random(20260131)
    (HERE / "data").mkdir(exist_ok=True)
    with open(HERE / "data" / "train.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["customer_id", "tenure_months", "monthly_charge", "tickets", "late_payments", "churn"])
        for number in range(1, 1_001):
            tenure = chance.randint(1, 72)
            charge = round(chance.uniform(15, 110), 2)
            tickets = min(9, int(chance.expovariate(0.8)))
            late = min(6, int(chance.expovariate(1.2)))
            score = -1.2 - 0.05 * tenure + 0.018 * charge + 0.45 * tickets + 0.6 * late
            churn = int(chance.random() < 1 / (1 + math.exp(-score)))
            table.writerow([f"C{number:05}", tenure, f"{charge:.2f}", tickets, late, churn])


if __name__ == "__main__":
    main()
