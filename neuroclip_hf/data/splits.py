"""Which trials train, validate and test, and what they may share."""

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError


def check_splits(trials: pd.DataFrame, pictures: pd.DataFrame, protocol: str) -> None:
    """Refuse splits that share what their protocol forbids.

    A trial is never shared, by name or by content. A concept or a picture may be shared only where the protocol names
    it: "new-pictures" shares concepts, "new-trials" shares concepts and pictures. Where trials know only the concept,
    training and test must see different pictures of it. What is imagined is parted from training as what is tested is,
    and may be the same as that.

    Args:
        trials (`pandas.DataFrame`): the trial table.
        pictures (`pandas.DataFrame`): the picture table.
        protocol (`str`): one of `columns.PROTOCOLS`.

    Raises:
        InputError: naming what is shared and what to do.
    """
    if protocol not in columns.PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is unknown: choose one of {', '.join(columns.PROTOCOLS)}.")
    if (trials[columns.SPLIT] == columns.TRAIN).sum() == 0:
        raise InputError(
            "The training split is empty: no trial was left for it. Check events, rejection and test files."
        )
    refuse_shared_trials(trials)
    for one, other in combinations(columns.SPLITS, 2):
        if (one, other) == (columns.TEST, columns.IMAGERY):
            continue
        _refuse_shared_targets(trials, one, other, protocol)
    known = set(pictures[columns.IMAGE_ID])
    missing = sorted(set(trials[columns.IMAGE_ID]) - known - {""})
    if missing:
        raise InputError(f"{len(missing)} pictures that trials name are not in the picture table: {missing[0]!r}, ...")
    _refuse_missing_gallery(trials, pictures)
    both = pictures[pictures[columns.GALLERY] == columns.BOTH]
    unknown = set(trials[columns.CONCEPT][trials[columns.IMAGE_ID] == ""])
    if both[columns.CONCEPT].isin(unknown).any():
        raise InputError(
            f"Training and test see the same pictures of {both[columns.CONCEPT].iloc[0]!r}, of which trials know only "
            "the concept: give each pictures of its own."
        )


def refuse_shared_trials(trials: pd.DataFrame) -> None:
    """Refuse a trial that stands in two splits, under its own name or, with equal content, under another.

    Args:
        trials (`pandas.DataFrame`): the trial table, or some of its rows.

    Raises:
        InputError: naming files and splits.
    """
    place = [columns.SUBJECT, columns.SESSION, columns.RUN, columns.FILE, columns.SAMPLE]
    for keys, what in ((place, "trial"), ([columns.DIGEST], "recording")):
        splits = trials.groupby(keys)[columns.SPLIT].nunique()
        if (splits > 1).any():
            example = trials.set_index(keys).loc[[splits[splits > 1].index[0]]].reset_index()
            where = [f"{row[columns.FILE]} ({row[columns.SPLIT]})" for _, row in example.iterrows()]
            raise InputError(
                f"{int((splits > 1).sum())} trials stand in two splits, as the same {what}: "
                f"{' and '.join(dict.fromkeys(where))}. A trial may never be shared: leave one of the files out."
            )


def shuffle_targets(trials: pd.DataFrame, rows: NDArray[np.int64], seed: int) -> pd.DataFrame:
    """A copy of the trial table in which the targets of `rows` were dealt out anew: the control of every report.

    Pictures are permuted as blocks (all repeats of a picture get the same other picture). Where only concepts are
    known, the trials of each concept get all concepts in the proportions of the whole, so that nothing of the truth is
    left by chance, which among few concepts would be much.
    """
    generator = np.random.default_rng([seed, 7])
    shuffled = trials.copy()
    mine = trials.iloc[rows]
    if (mine[columns.IMAGE_ID] == "").all():
        dealt = mine[[columns.CONCEPT]].iloc[_deal_evenly(mine[columns.CONCEPT], generator)]
    else:
        targets = mine[[columns.IMAGE_ID, columns.CONCEPT]].drop_duplicates().reset_index(drop=True)
        place = pd.Index(targets[columns.IMAGE_ID]).get_indexer(mine[columns.IMAGE_ID])
        dealt = targets.iloc[generator.permutation(len(targets))].iloc[place]
    for name in dealt.columns:
        shuffled.iloc[rows, shuffled.columns.get_loc(name)] = dealt[name].to_numpy()
    return shuffled


def _deal_evenly(concepts: pd.Series, generator: np.random.Generator) -> NDArray[np.int64]:
    """For each trial, the place of the trial whose concept it gets: a permutation, every concept the same mixture."""
    codes, _ = pd.factorize(concepts)
    size = np.bincount(codes)[codes]
    rank = np.empty(len(codes), dtype=np.int64)
    mixed = generator.permutation(len(codes))
    rank[mixed] = concepts.iloc[mixed].groupby(codes[mixed]).cumcount().to_numpy()
    spread = np.argsort((rank + generator.random(len(codes))) / size, kind="stable")  # concepts evenly along this line
    receivers = mixed[np.argsort(codes[mixed], kind="stable")]  # trials concept by concept, in random order
    dealt = np.empty(len(codes), dtype=np.int64)
    dealt[receivers] = spread
    return dealt


def _refuse_shared_targets(trials: pd.DataFrame, one: str, other: str, protocol: str) -> None:
    forbidden = {
        columns.NEW_CONCEPTS: ((columns.IMAGE_ID, "picture"), (columns.CONCEPT, "concept")),
        columns.NEW_PICTURES: ((columns.IMAGE_ID, "picture"),),
        columns.NEW_TRIALS: (),
    }[protocol]
    for name, word in forbidden:
        mine, theirs = (set(trials[name][trials[columns.SPLIT] == split]) for split in (one, other))
        shared = sorted((mine & theirs) - {""})
        if shared:
            # Without pictures nobody can tell whether they were new.
            unknown = (trials[columns.IMAGE_ID] == "").all()
            weaker = columns.NEW_PICTURES if word == "concept" and not unknown else columns.NEW_TRIALS
            raise InputError(
                f"{len(shared)} {word}s stand in {one} and {other}, which protocol {protocol} forbids "
                f"({', '.join(shared[:3])}{', ...' if len(shared) > 3 else ''}): part the {word}s, or say --protocol "
                f"{weaker} if that is what is meant."
            )


def _refuse_missing_gallery(trials: pd.DataFrame, pictures: pd.DataFrame) -> None:
    for split in columns.SPLITS:
        seen = columns.GALLERY_OF[split]
        mine = trials[trials[columns.SPLIT] == split]
        gallery = pictures[pictures[columns.GALLERY].isin([seen, columns.BOTH])]
        for name in (columns.IMAGE_ID, columns.CONCEPT):
            missing = sorted(set(mine[name]) - set(gallery[name]) - {""})
            if missing:
                raise InputError(
                    f"No {seen} picture for {missing[0]!r}: every {split} trial needs its picture in the gallery."
                )
