"""The rows of the benchmarks in JAX, for machines that have it: python3 test/bench/jax_rows.py [--quick] [--json FILE].

Same shapes and names as rows/*.ts. Matrix products in f32 are strict (no TF32). Medians over rounds of batches that
end in one block_until_ready; the copy is the bandwidth that XLA reaches.
"""

import argparse
import json
import statistics
import time

import jax
import jax.numpy as jnp
from jax import lax

jax.config.update("jax_default_matmul_precision", "highest")
MILLION = 1024 * 1024


def measure(fn, *args, budget=2.0):
    """Milliseconds per call (median, low and high quartile), and of the first call."""
    run = jax.jit(fn)
    start = time.perf_counter()
    jax.block_until_ready(run(*args))
    first = time.perf_counter() - start
    start = time.perf_counter()
    jax.block_until_ready(run(*args))
    calls = max(1, min(200, int(0.04 / (time.perf_counter() - start))))
    samples = []
    end = time.perf_counter() + budget
    while len(samples) < 3 or (time.perf_counter() < end and len(samples) < 30):
        start = time.perf_counter()
        results = [run(*args) for _ in range(calls)]
        jax.block_until_ready(results)
        samples.append(1000 * (time.perf_counter() - start) / calls)
    low, median, high = statistics.quantiles(samples, n=4)
    return {"median": median, "low": low, "high": high, "firstMs": 1000 * first}


def uniform(seed, shape, scale=1.0, dtype=jnp.float32):
    return jax.random.uniform(jax.random.key(seed), shape, jnp.float32, -scale, scale).astype(dtype)


def labels(seed, shape, classes):
    return jax.random.randint(jax.random.key(seed), shape, 0, classes)


def cross_entropy(logits, y):
    return -jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(y, logits.shape[-1]), axis=-1)


def layer_norm(x, scale, bias):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * scale + bias


def attend(q, k, v):
    return jax.nn.softmax(q @ jnp.swapaxes(k, -1, -2) * q.shape[-1] ** -0.5) @ v


def chain(x):
    for i in range(5):
        x = x * (1 + i / 16) + i / 8
    return x


def array_rows(quick):
    for dtype, name in ((jnp.float32, "f32"), (jnp.float16, "f16"), (jnp.bfloat16, "bf16")):
        for n in (256, 512) if quick else (256, 512, 1024, 2048, 4096):
            a, b = uniform(1, (n, n), 1.0, dtype), uniform(2, (n, n), n**-0.5, dtype)
            yield f"matmul {n} {name}", jnp.matmul, (a, b)
    batch = 64 if quick else 256
    yield f"batched matmul {batch}×64", jnp.matmul, (uniform(1, (batch, 64, 64)), uniform(2, (batch, 64, 64)))
    n = 8192 if quick else 65536
    yield f"matmul 32×{n}×32", jnp.matmul, (uniform(1, (32, n)), uniform(2, (n, 32), n**-0.5))
    n = 1024 if quick else 2048
    yield f"matvec {n}", jnp.matmul, (uniform(1, (n, n)), uniform(2, (n,)))
    large = (1 if quick else 4) * MILLION
    yield f"chain of 10 over {large // MILLION} M", chain, (uniform(1, (large,)),)
    yield f"sum of {large // MILLION} M", jnp.sum, (uniform(1, (large,)),)
    n = 512 if quick else 1024
    yield f"softmax {n}²", jax.nn.softmax, (uniform(1, (n, n), 3),)
    yield f"layer norm {n}²", layer_norm, (uniform(1, (n, n), 3), uniform(2, (n,)), uniform(3, (n,)))
    if quick or jax.devices()[0].platform == "cpu":
        return
    # As in rows/arrays.ts: what a GPU's caches do not hold.
    large, n = 64 * MILLION, 8192
    yield "chain of 10 over 64 M", chain, (uniform(1, (large,)),)
    yield "sum of 64 M", jnp.sum, (uniform(1, (large,)),)
    yield f"softmax {n}²", jax.nn.softmax, (uniform(1, (n, n), 3),)
    yield f"layer norm {n}²", layer_norm, (uniform(1, (n, n), 3), uniform(2, (n,)), uniform(3, (n,)))


def mlp_params(sizes):
    return [
        (uniform(10 + 2 * i, (m, n), (3 / m) ** 0.5), uniform(11 + 2 * i, (n,), 0.1))
        for i, (m, n) in enumerate(zip(sizes, sizes[1:]))
    ]


def mlp_loss(params, x, y):
    for i, (w, b) in enumerate(params):
        x = (jax.nn.relu(x) if i else x) @ w + b
    return cross_entropy(x, y).mean()


def sgd(params, gradient, rate=0.1):
    return jax.tree.map(lambda p, g: p - rate * g, params, gradient)


def adam(count, params, grads, means, squares):
    def one(p, g, m, v):
        m, v = m * 0.9 + g * 0.1, v * 0.999 + g * g * 0.001
        return p - 1e-3 * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8), m, v

    return [one(*each) for each in zip(params, grads, means, squares)]


def transformer_step(heads, params, x, y):
    def loss(blocks, head):
        h = x
        batch, length, width = h.shape

        def split(z):
            return z.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)

        for s1, b1, wq, wk, wv, wo, s2, b2, up, down in blocks:
            n = layer_norm(h, s1, b1)
            attended = attend(split(n @ wq), split(n @ wk), split(n @ wv))
            h = h + attended.transpose(0, 2, 1, 3).reshape(batch, length, width) @ wo
            h = h + jax.nn.gelu(layer_norm(h, s2, b2) @ up) @ down
        return cross_entropy(h @ head, y).mean()

    value, gradient = jax.value_and_grad(loss, (0, 1))(*params)
    return value, sgd(tuple(params), gradient)


def network_rows(quick):
    heads, length, width = (4, 128, 64) if quick else (8, 512, 64)
    q, k, v, weight = (uniform(i, (heads, length, width)) for i in range(1, 5))
    name = f"attention {heads}×{length}×{width}"
    yield f"{name} forward", attend, (q, k, v)
    backward = jax.grad(lambda q, k, v, w: (attend(q, k, v) * w).sum(), (0, 1, 2))
    yield f"{name} backward", backward, (q, k, v, weight)
    batch, sizes = (32, (784, 128, 128, 10)) if quick else (128, (784, 512, 512, 10))
    x, y, params = uniform(1, (batch, sizes[0])), labels(2, (batch,), 10), mlp_params(sizes)
    name = f"MLP {'-'.join(map(str, sizes))}, batch {batch}"
    yield f"{name}: value and gradient", jax.value_and_grad(mlp_loss), (params, x, y)

    def step(params, x, y):
        value, gradient = jax.value_and_grad(mlp_loss)(params, x, y)
        return value, sgd(params, gradient)

    yield f"{name}: step of SGD", step, (params, x, y)
    n = 64 if quick else 256
    shapes = [(n, n) if i % 2 == 0 else (n,) for i in range(20)]
    tensors = [[uniform(100 * j + i, s) for i, s in enumerate(shapes)] for j in range(4)]
    tensors[3] = [jnp.abs(t) for t in tensors[3]]
    yield "Adam over 20 tensors", adam, (jnp.float32(3), *tensors)
    width = 64 if quick else 128
    block = [jnp.ones(width), jnp.zeros(width), *(uniform(i, (width, width), 0.2) for i in range(4))]
    block += [jnp.ones(width), jnp.zeros(width), uniform(5, (width, 4 * width), 0.2), uniform(6, (4 * width, width), 0.1)]
    params = ([block, block], uniform(7, (width, 256), 0.2))
    arguments = (params, uniform(1, (4, 64, width)), labels(2, (4, 64), 256))
    yield f"transformer step, 2×{width}, 256 tokens", lambda *a: transformer_step(4, *a), arguments


def train_locally(params, x, y):
    def step(local, batch):
        value, gradient = jax.value_and_grad(mlp_loss)(local, *batch)
        return sgd(local, gradient), value

    return lax.scan(step, params, (x, y))[0]


def federated_rows(quick):
    clients, steps, sizes = (16, 10, (32, 32, 10)) if quick else (64, 100, (32, 32, 10))
    x, y = uniform(1, (clients, steps, 8, sizes[0])), labels(2, (clients, steps, 8), 10)
    params = jax.tree.map(lambda p: jnp.broadcast_to(p, (clients, *p.shape)), mlp_params(sizes))
    name = f"{steps} local steps of {clients} clients, MLP {'-'.join(map(str, sizes))}"
    yield name, jax.vmap(train_locally), (params, x, y)
    clients, batch, sizes = (10, 8, (784, 32, 10)) if quick else (100, 32, (784, 128, 10))
    x, y = uniform(1, (clients, 5, batch, 784)), labels(2, (clients, 5, batch), 10)

    def averaging(params, x, y):
        trained = jax.vmap(train_locally, (None, 0, 0))(params, x, y)
        return jax.tree.map(lambda p: p.mean(0), trained)

    yield f"FedAvg round of {clients} clients, MLP {'-'.join(map(str, sizes))}", averaging, (mlp_params(sizes), x, y)


def call_rows(budget):
    """The chained call, where each waits for nothing, and the round trip."""
    run = jax.jit(lambda x: x * 0.5 + 1)
    first = uniform(1, (8,))
    for name, wait in (("tiny call, chained", False), ("tiny call with readback", True)):
        samples = []
        end = time.perf_counter() + budget
        while len(samples) < 3 or time.perf_counter() < end:
            x = first
            start = time.perf_counter()
            for _ in range(500):
                x = run(x)
                if wait:
                    jax.device_get(x)
            x.block_until_ready()
            samples.append(1000 * (time.perf_counter() - start) / 500)
        low, median, high = statistics.quantiles(samples, n=4)
        yield name, {"median": median, "low": low, "high": high, "firstMs": None}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds for each row")
    parser.add_argument("--only", default="", help="rows whose name contains one of these, separated by commas")
    parser.add_argument("--json", help="writes the results as JSON too")
    options = parser.parse_args()
    wanted = [part for part in options.only.split(",") if part]

    def selected(name):
        return not wanted or any(part in name for part in wanted)

    device = jax.devices()[0]
    print(f"jax {jax.__version__} on {device.device_kind}")
    large = uniform(1, (64 * MILLION,))
    copied = measure(lambda x: x + 1, large, budget=options.budget)
    print(f"copy: {8 * 64 * MILLION / copied['median'] / 1e6:.1f} GB/s\n")
    print("| row | ms (quartiles) | first call ms |\n| --- | --- | --- |")
    rows = {}

    def show(name, result):
        rows[name] = result
        first = "–" if result["firstMs"] is None else f"{result['firstMs']:.0f}"
        print(f"| {name} | {result['median']:.4g} ({result['low']:.4g}–{result['high']:.4g}) | {first} |", flush=True)

    for source in (array_rows, network_rows, federated_rows):
        for name, fn, args in source(options.quick):
            if selected(name):
                show(name, measure(fn, *args, budget=options.budget))
    for name, result in call_rows(options.budget):
        if selected(name):
            show(name, result)
    if options.json:
        with open(options.json, "w", encoding="utf8") as file:
            json.dump({"jax": jax.__version__, "device": device.device_kind, "copy": copied, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
