"""Names in the folders of runs, reproductions and ablations, and the schema of reports, said once. No torch."""

CONFIG_FILE, PROCESSOR_FILE = "config.json", "processor_config.json"
"""Of a checkpoint, as transformers names them."""
RUN_FILE = "run.json"
"""Facts of a training; every run folder holds it."""
RECIPE_FILE = "recipe.yaml"
HISTORY_FILE = "training.jsonl"
"""A line of JSON an epoch."""
TRAINED_ON_FILE = "trained_on.json"
"""Digests of what training and validation saw."""
REPORT_FILE = "report.json"
REPORT_SCHEMA = 3
"""Of report.json, whoever writes it: a run, a reproduction or an ablation."""
RANKING_FILE = "ranking.safetensors"
OTHER_RANKING_FILE = "ranking_other_whitening.safetensors"
"""The same queries as another whitening has them: the second inductive row of a report."""
PLAN_FILE = "reproduction.json"
"""What is reproduced, or varied: recipe, protocol, store."""
RUNS = "runs"
"""Folder of a reproduction that holds its runs, `SUBJECT/seed-N` each."""
COST_FILE = "cost.json"
"""What a run of a reproduction took; written last, so that the run is whole where it is there."""
LOCKS = ".locks"
"""Folder of a reproduction, and of an ablation, that holds the claims of those who work there."""
IMAGE_FEATURES_FOLDER = "image_features"
"""Of a reproduction, or an ablation: what the tower without prompts says of pictures, for all runs."""
VARIATIONS = "variations"
"""Folder of an ablation that holds a reproduction for each variation."""
PAGE_FILE = "report.html"
CONTROL = "control"
"""Folder of the same training on shuffled pairs."""
LAST_EPOCH = "last_epoch"
"""Folder of a run that holds the same training after its last epoch."""
LAST_GOOD = "last-good"
"""Ending of the folder, beside a run whose numbers were lost, that holds its last good epoch as a run."""
TASKS = {"categories": "Category decoding", "matching": "Matching"}
"""What runs are asked beside retrieval: name of the task, after which its file is called, and title of its tables."""
GENERATED_FOLDER = "generated"
"""Folder of a run where generated pictures go, unless another one is named."""
GENERATION_FILE = "generation.json"
"""What a generation found."""
GENERATION_SHEET = "sheet.png"
"""The first pictures of a generation beside their controls."""
GENERATION_KINDS = {
    "generated": "generated",
    "shuffled_brain": "shuffled brain",
    "mean_embedding": "mean embedding",
    "nearest_training_picture": "nearest training",
}
"""What generation.json scores, in words: what was generated, then its controls."""


def task_file(task: str) -> str:
    """Name of the file that holds what a task found."""
    return f"{task}.json"
