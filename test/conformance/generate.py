"""Writes the expected values of random.json anew from an installed JAX: python generate.py > random.json"""

import json
import pathlib

import jax
import numpy as np

document = json.loads((pathlib.Path(__file__).parent / "random.json").read_text())


def key_of(case):
    key = jax.random.PRNGKey(case["seed"])
    if "fold" in case:
        key = jax.random.fold_in(key, case["fold"])
    for child in case.get("path", []):
        key = jax.random.split(key)[child]
    return key


def value_of(case):
    key = key_of(case)
    match case["call"]:
        case "split":
            return jax.random.split(key)
        case "foldIn":
            return jax.random.fold_in(key, case["data"])
        case "uniform":
            return jax.random.uniform(key, tuple(case["shape"]))
        case "normal":
            return jax.random.normal(key, tuple(case["shape"]))
    raise ValueError(case["call"])


for case in document["cases"]:
    case["expected"] = [x.item() for x in np.asarray(value_of(case)).ravel()]
    case["source"] = f"jax {jax.__version__}"
print(json.dumps(document, indent=2))
