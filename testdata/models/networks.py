#!/usr/bin/env python3
"""Writes networks.json: gradients that PyTorch computes for the models beside it, which it trains nothing of: small
networks with random weights (exported here), and the trained ones (rebuilt from their ONNX files). Needs torch, numpy
and onnx; made with PyTorch 1.13."""
import json
import math
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(3)
results = {}


class Block(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.one, self.two = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.n1, self.n2 = nn.BatchNorm2d(b), nn.BatchNorm2d(b)
        self.skip = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b)) if a != b else nn.Identity()

    def forward(self, x):
        return F.relu(self.n2(self.two(F.relu(self.n1(self.one(x))))) + self.skip(x))


class Inverted(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        hidden = a * 3
        self.body = nn.Sequential(nn.Conv2d(a, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
                                  nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden),
                                  nn.Hardswish(), nn.Conv2d(hidden, b, 1, bias=False), nn.BatchNorm2d(b))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(b, b, 1), nn.Hardsigmoid())
        self.residual = a == b and stride == 1

    def forward(self, x):
        y = self.body(x)
        y = y * self.gate(y)
        return x + y if self.residual else y


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, width * 3), nn.Linear(width, width)

    def forward(self, x, mask=None):
        b, t, w = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) / math.sqrt(w // self.heads)
        if mask is not None:
            scores = scores.masked_fill(mask[:, None, None, :] == 0, -1e4)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, w))


class Encoder(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.a, self.n1, self.n2 = Attention(width, heads), nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width * 2), nn.GELU(), nn.Linear(width * 2, width))

    def forward(self, x, mask=None):
        x = x + self.a(self.n1(x), mask)
        return x + self.mlp(self.n2(x))


class ViT(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, width, 4, 4), nn.Parameter(torch.randn(1, 1, width))
        self.places, self.body = nn.Parameter(torch.randn(1, 17, width)), nn.ModuleList([Encoder(width, 4) for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        for layer in self.body:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])


class Bert(nn.Module):
    """Takes token numbers; 0 is padding."""

    def __init__(self, width=16):
        super().__init__()
        self.words, self.places = nn.Embedding(50, width), nn.Embedding(8, width)
        self.layer, self.pool, self.head = Encoder(width, 2), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, ids):
        x = self.words(ids)
        return self.rest(x, ids)

    def rest(self, x, ids):
        x = x + self.places(torch.arange(ids.shape[1])[None])
        return self.head(torch.tanh(self.pool(self.layer(x, ids)[:, 0])))


class Hourglass(nn.Module):
    """Down by pools, up by transposed convolution and resizing."""

    def __init__(self):
        super().__init__()
        self.down, self.mid = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.up, self.last = nn.ConvTranspose2d(6, 4, 2, 2), nn.Conv2d(8, 2, 3, padding=1)
        self.norm, self.slope, self.head = nn.GroupNorm(2, 4), nn.PReLU(4), nn.Linear(2 * 64, 4)

    def forward(self, x):
        a = self.slope(self.norm(self.down(x)))
        b = F.elu(self.mid(F.max_pool2d(a, 3, 2, 1)))
        c = F.interpolate(F.avg_pool2d(b, 2), scale_factor=2, mode="bilinear", align_corners=False)
        d = torch.cat([self.up(b + c), F.silu(a)], 1)
        return F.log_softmax(self.head(self.last(d).flatten(1)), 1)


def jumble(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


def record(name, x, target, logits, extra=None):
    seed = torch.randn_like(logits).mul(8).round() / 8
    (gradient,) = torch.autograd.grad(logits, target, seed)
    entry = {"x": x, "seed": seed, "logits": logits, "gradient": gradient}
    results[name] = {k: {"dims": list(v.shape), "data": [float(f"{n:.7g}") for n in v.detach().flatten().tolist()]}
                     for k, v in entry.items()}


def export(name, model, x, training=None, **options):
    torch.onnx.export(jumble(model), x, f"{name}.onnx", input_names=["x"], output_names=["logits"],
                      dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}}, **options)


def image(name, model, *shape, **options):
    export(name, model, torch.randn(2, *shape), **options)
    x = (torch.rand(2, *shape) * 64).round().div(64).requires_grad_(True)
    record(name, x, x, model(x))


image("tiny_resnet", nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
      Block(8, 8, 1), Block(8, 12, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)), 3, 16, 16, opset_version=13,
      do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE)
image("tiny_mobilenet", nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish(), Inverted(8, 8, 1), Inverted(8, 10, 2),
      nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(10, 5)), 3, 16, 16, opset_version=14)
image("tiny_vit", ViT(), 3, 16, 16, opset_version=16)
image("tiny_vit_17", ViT(), 3, 16, 16, opset_version=17)
image("tiny_hourglass", Hourglass(), 1, 8, 8, opset_version=12)

ids = torch.tensor([[4, 17, 23, 49, 3, 0, 0, 0], [1, 2, 30, 31, 32, 33, 5, 6]])
bert = Bert()
export("tiny_bert", bert, ids, opset_version=14)
embedded = bert.words(ids).detach().requires_grad_(True)
record("tiny_bert", ids, embedded, bert.rest(embedded, ids))


def rebuilt(path):
    """The trained networks are chains of few operators; the bag of words has its own reading."""
    import onnx
    from onnx import numpy_helper
    graph = onnx.load(path).graph
    weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}

    def run(x):
        for node in graph.node:
            w = [weights.get(i) for i in node.input[1:]]
            a = {k.name: onnx.helper.get_attribute_value(k) for k in node.attribute}
            if node.op_type == "Conv":
                x = F.conv2d(x, w[0], w[1], a["strides"], a["pads"][:2])
            elif node.op_type == "MaxPool":
                x = F.max_pool2d(x, a["kernel_shape"], a["strides"])
            elif node.op_type == "Gemm":
                x = F.linear(x, w[0], w[1])
            else:
                x = {"Relu": F.relu, "Flatten": lambda x: x.flatten(1)}[node.op_type](x)
        return x
    return run, weights


images = torch.from_numpy(np.load("mnist_test_x_head.npy")).float() / 255
for name in ["mnist_cnn_std", "mnist_cnn_adv"]:
    x = images[:1].clone().reshape(1, 1, 28, 28).requires_grad_(True)
    record(name, x, x, rebuilt(f"{name}.onnx")[0](x))
x = torch.from_numpy(np.load("digits_test_x_head.npy"))[:3].float().requires_grad_(True)
record("digits_mlp", x, x, rebuilt("digits_mlp.onnx")[0](x))

_, w = rebuilt("spam_bag.onnx")
ids = torch.randint(0, 4002, (3, 60))
ids[:, 40:] = 0
embedded = w["e.weight"][ids].requires_grad_(True)
mask = (ids > 0).float()[..., None]
bag = (embedded * mask).sum(1) / mask.sum(1).clamp(min=1)
record("spam_bag", ids, embedded, F.linear(F.relu(F.linear(bag, w["a.weight"], w["a.bias"])), w["b.weight"], w["b.bias"]))

with open("networks.json", "w") as file:
    json.dump(results, file)
