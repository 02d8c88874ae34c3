# SPDX-License-Identifier: Apache-2.0
"""Trains a small neural network on handwritten-like digits made on the spot; prints its accuracy.

Standard library only, the same result on every machine: 8x8 pictures of ten digits are drawn from
seven-segment strokes, shifted, thinned and speckled by a seeded generator; a network with one
hidden layer learns 1,500 of them and is judged on 500 others.
"""
import math
import random
import sys

SEGMENTS = {0: "abcdef", 1: "bc", 2: "abged", 3: "abgcd", 4: "fgbc",
            5: "afgcd", 6: "afgedc", 7: "abc", 8: "abcdefg", 9: "abcdfg"}
STROKES = {"a": [(1, x) for x in range(2, 6)], "g": [(3, x) for x in range(2, 6)],
           "d": [(6, x) for x in range(2, 6)], "f": [(y, 2) for y in range(1, 4)],
           "b": [(y, 5) for y in range(1, 4)], "e": [(y, 2) for y in range(3, 7)],
           "c": [(y, 5) for y in range(3, 7)]}


def picture(digit, rng):
    pixels = [0.0] * 64
    dy, dx = rng.choice((-1, 0, 1)), rng.choice((-1, 0, 1))
    for segment in SEGMENTS[digit]:
        for y, x in STROKES[segment]:
            if rng.random() > 0.06:
                pixels[max(0, min(7, y + dy)) * 8 + max(0, min(7, x + dx))] = 0.7 + 0.3 * rng.random()
    return [min(1.0, p + (rng.random() * 0.3 if rng.random() < 0.1 else 0)) for p in pixels]


class Network:
    def __init__(self, sizes, rng):
        inputs, hidden, outputs = sizes
        self.w1 = [[rng.gauss(0, 1 / math.sqrt(inputs)) for _ in range(inputs)] for _ in range(hidden)]
        self.b1 = [0.0] * hidden
        self.w2 = [[rng.gauss(0, 1 / math.sqrt(hidden)) for _ in range(hidden)] for _ in range(outputs)]
        self.b2 = [0.0] * outputs

    def forward(self, x):
        h = [max(0.0, b + sum(map(float.__mul__, w, x))) for w, b in zip(self.w1, self.b1)]
        z = [b + sum(map(float.__mul__, w, h)) for w, b in zip(self.w2, self.b2)]
        top = max(z)
        e = [math.exp(v - top) for v in z]
        total = sum(e)
        return h, [v / total for v in e]

    def learn(self, x, label, rate):
        h, p = self.forward(x)
        dz = [v - (i == label) for i, v in enumerate(p)]
        dh = [sum(dz[o] * self.w2[o][j] for o in range(len(dz))) if h[j] > 0 else 0.0
              for j in range(len(h))]
        for o, d in enumerate(dz):
            row = self.w2[o]
            self.b2[o] -= rate * d
            for j, v in enumerate(h):
                row[j] -= rate * d * v
        for j, d in enumerate(dh):
            if d:
                self.b1[j] -= rate * d
                self.w1[j] = [w - rate * d * v for w, v in zip(self.w1[j], x)]
        return -math.log(p[label] + 1e-12)


def main():
    rng = random.Random(2026)
    samples = [(picture(i % 10, rng), i % 10) for i in range(2000)]
    rng.shuffle(samples)
    train, test = samples[:1500], samples[1500:]
    network = Network((64, 16, 10), rng)
    for epoch in range(6):
        loss = sum(network.learn(x, label, 0.05) for x, label in train) / len(train)
        print(f"epoch {epoch + 1}: loss {loss:.4f}", flush=True)
    right = sum(max(range(10), key=network.forward(x)[1].__getitem__) == label for x, label in test)
    print(f"accuracy: {100 * right / len(test):.1f} %")
    return 0 if right > 0.8 * len(test) else 1


if __name__ == "__main__":
    sys.exit(main())
