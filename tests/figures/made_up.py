"""Result folders with simulated numbers, drawn and never measured, in the shapes that the verbs write."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

CHANCE = {
    "chance": 0.005, "chance_top5": 0.025, "chance_log_loss": 5.298, "gallery": "the 200 pictures of the test split",
    "gallery_size": 200,
}  # fmt: skip
COMMON = {**CHANCE, "data": "simulated", "store": "0123456789abcdef", "tower": "small-clip", "schema": 3}
WHO = {**COMMON, "protocol": "new-concepts", "averaged_repeats": 80}  # of a reproduction or an ablation
VERSIONS = {"python": "3.11", "torch": "2.13"}
REPEATS = (1, 2, 5, 10, 20, 40, 80)


def interval(mean, half=0.03, over="queries"):
    ends = {"low": max(0.0, mean - half), "high": min(1.0, mean + half)}
    return {**ends, "level": 0.95, "resamples": 2000, "over": over}


def spread(mean, std=0.01):
    return {"mean": mean, "std": std, "values": [mean - std, mean, mean + std]}


def write(folder: Path, name: str, value):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


def run_report(subjects=("sub-01", "sub-02"), top1=0.5, **changes):
    by_subject = {
        name: {"top1": top1 + 0.02 * place, "top5": 0.8, "pairwise": 0.95, "num_queries": 200}
        for place, name in enumerate(subjects)
    }
    repeats = [
        {
            "repeats": count,
            "top1": top1 * (1 - 0.8 / (1 + place)),
            "top5": 0.8 * (1 - 0.7 / (1 + place)),
            "num_queries": 200,
        }
        for place, count in enumerate(REPEATS, start=1)
    ]
    tiers = [
        {
            "tier": "inductive",
            "method": "cosine",
            "whitening": "own session",
            "fitted_on": "",
            "num_trials": 0,
            "top1": top1,
            "top5": 0.8,
            "interval": interval(top1),
        },
        {
            "tier": "transductive",
            "method": "csls",
            "whitening": "own session",
            "fitted_on": "test queries",
            "num_trials": 200,
            "top1": top1 + 0.05,
            "top5": 0.85,
            "interval": interval(top1 + 0.05),
        },
    ]
    return {
        **COMMON,
        "top1": top1, "top5": 0.8, "pairwise": 0.95, "log_loss": 2.5, "control_top1": 0.004, "num_queries": 400,
        "seed": 0, "protocol": "new-concepts", "split": "pooled", "tested_subjects": "trained", "averaged_repeats": 80,
        "target": "image", "tier": "inductive", "selection": "loss", "subjects": by_subject,
        "n_way": {str(n): {"top1": 0.99 - 0.002 * n} | ({"top5": 0.99} if n > 5 else {}) for n in (2, 4, 10, 200)},
        "repeats": repeats, "intervals": {"top1": interval(top1), "top5": interval(0.8)},
        "permutation": {"p": 0.001, "permutations": 999, "statistic": top1}, "tiers": tiers,
        "whitening_fit": "own session", "flags": [],
        "run": {"recipe": "neuroclip-intra", "best_epoch": 3, "epochs": 4, "versions": VERSIONS},
        **changes,
    }  # fmt: skip


def history(epochs=4, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.05, (epochs, 3))
    return "".join(
        json.dumps(
            {
                "epoch": epoch + 1,
                "loss": 5 / (epoch + 1) + abs(noise[epoch, 0]),
                "validation_loss": 2 + 2 / (epoch + 1) + noise[epoch, 1],
                "validation_top1": min(1.0, 0.1 * epoch + abs(noise[epoch, 2])),
            }
        )
        + "\n"
        for epoch in range(epochs)
    )


def ranking(folder: Path, concepts, subjects=("sub-01",), noise=0.3, seed=0, image_ids=None):
    """Scores of a model that is often right: one picture a concept, one query a picture and subject."""
    size = len(concepts)
    generator = np.random.default_rng(seed)
    scores = np.concatenate([np.eye(size) * 0.5 + generator.normal(0, noise, (size, size)) for _ in subjects])
    image_ids = image_ids or [f"{concept}/{concept}.jpg" for concept in concepts]
    words = {
        "image_ids": image_ids,
        "concepts": list(concepts),
        "scale": 10.0,
        "queries": [
            {"subject": subject, "image_id": image_id, "concept": concept, "trials": 2}
            for subject in subjects
            for image_id, concept in zip(image_ids, concepts, strict=True)
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.arange(2 * size * len(subjects), dtype=np.int32)
    mask = np.tile(np.eye(size, dtype=bool), (len(subjects), 1))
    tensors = {"scores": scores.astype(np.float32), "mask": mask, "trials": rows, "repeats": rows % 2}
    save_file(tensors, folder / "ranking.safetensors", {"ranking": json.dumps(words)})


def make_run(folder: Path, concepts=("face", "house", "tool"), **changes):
    report = run_report(**changes)
    write(folder, "report.json", report)
    write(folder, "run.json", {**report["run"], "data": report["data"], "store": report["store"]})
    write(folder, "training.jsonl", history())
    ranking(folder, concepts)
    return folder


def reproduction_report(recipe="neuroclip-intra", protocol="intra", subjects=10, top1=0.5, **changes):
    names = [f"sub-{number:02d}" for number in range(1, subjects + 1)]
    tiers = [("inductive", "cosine"), ("calibrated", "csls"), ("matching", "one-to-one assignment")]
    results = [
        {
            "selection": selection, "tier": tier, "whitening": "own session", "method": method,
            "subjects": {
                name: {
                    "top1": spread(top1 + 0.02 * (place % 5) - 0.04), "top5": spread(0.8 + 0.01 * (place % 3)),
                    "pairwise": spread(0.95),
                }
                for place, name in enumerate(names)
            },
            "mean": {
                "top1": {**spread(top1 + 0.04 * place), "interval": interval(top1 + 0.04 * place, over="subjects")},
                "top5": {**spread(0.8), "interval": interval(0.8, over="subjects")},
                "log_loss": spread(2.5),
            },
            "n_way": {str(n): {"top1": spread(0.99 - 0.002 * n)} for n in (2, 4, 10, 50, 100, 200)},
            "repeats": [
                {"repeats": count, "top1": spread(top1 * (1 - 0.8 / step)), "top5": spread(0.8 * (1 - 0.7 / step))}
                for step, count in enumerate(REPEATS, start=2)
            ],
        }
        for place, (tier, method) in enumerate(tiers)
        for selection in ("fixed epoch", "validation")
    ]  # fmt: skip
    runs = [
        {"subject": name, "seed": seed, "folder": f"runs/{name}/seed-{seed}", "seconds": 60.0, "best_epoch": 3}
        for name in names
        for seed in (0, 1, 2)
    ]
    return {
        "kind": "reproduction", "recipe": recipe, "subject_protocol": protocol, "seeds": [0, 1, 2], **WHO,
        "whitening_fit": "own session", "results": results, "runs": runs, "hardware": {"cpu": "2 cores"},
        "versions": VERSIONS, "seconds": 1800.0, "flags": [], **changes,
    }  # fmt: skip


def make_reproduction(folder: Path, concepts=("face", "house", "tool"), runs=2, **changes):
    report = reproduction_report(**changes)
    write(folder, "report.json", report)
    for number, run in enumerate(report["runs"][:runs]):
        place = folder / run["folder"]
        write(place, "run.json", {"best_epoch": 3, "store": report["store"]})
        write(place, "training.jsonl", history(seed=number))
        ranking(place, concepts, (run["subject"],), seed=number)
    return folder


def ablation_report(over="parts", names=("everything", "without filter", "without CATF"), **changes):
    """Rows of so many names, or of a dict of names with their overrides."""
    rows = []
    for place, name in enumerate(names):
        top1 = 0.5 - 0.03 * place + 0.02 * (place % 3)
        gap = {"difference": top1 - 0.5, **interval(top1 - 0.5), "low": top1 - 0.53, "high": top1 - 0.47, "p": 0.01}
        loss, worse = 2 + 0.1 * place, 0.1 * place
        of_loss = {"difference": worse, "low": worse - 0.02, "high": worse + 0.02, "level": 0.95, "over": "queries"}
        rows.append(
            {
                "name": name, "overrides": names[name] if isinstance(names, dict) else {}, "seconds": 60.0,
                "difference": gap if place else None,
                "log_loss": {**spread(loss), "interval": {**of_loss, "low": loss - 0.1, "high": loss + 0.1}},
                "log_loss_difference": {**of_loss, "p": 0.01} if place else None,
                "top1": {**spread(top1), "interval": interval(top1)},
                "top5": {**spread(0.8), "interval": interval(0.8)},
            }
        )  # fmt: skip
    common = {
        **WHO,
        "recipe": "neuroclip-intra",
        "subject_protocol": "intra",
        "seeds": [0],
        "selection": "validation",
    }
    return {"kind": "ablation", "over": over, "rows": rows, **common, "seconds": 300.0, "flags": [], **changes}


def segments():
    """Names and overrides of the rows of an ablation over segments."""
    windows = [("sliding", n / 10, (n + 1) / 10) for n in range(8)] + [("growing", 0.0, n / 10) for n in range(2, 8)]
    return {
        "the recipe": {},
        **{f"{kind} {start:g} to {stop:g} s": {"window": [start, stop]} for kind, start, stop in windows},
    }


def make_ablation(folder: Path, **changes):
    write(folder, "report.json", ablation_report(**changes))
    return folder
