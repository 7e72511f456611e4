"""What is held out together while a training chooses a penalty."""

from typing import Any

import pandas as pd

from neuroclip_hf import columns
from neuroclip_hf.data.validation import BY_PROTOCOL

_COLUMN = {
    columns.BY_CONCEPTS: [columns.CONCEPT],
    columns.BY_PICTURES: [columns.IMAGE_ID],
    columns.BY_SESSIONS: [columns.SUBJECT, columns.SESSION],
    columns.BY_SUBJECTS: [columns.SUBJECT],
}


def groups_of(items: pd.DataFrame, by: str, protocol: str) -> list[Any]:
    """The group of each training item: what it shares with others that validation, or the test, will not share.

    A new concept cannot be stood for by another picture of a concept that is known, nor a new trial by one of the same
    run: the penalty is chosen for what is to come. Where trials are held out and all are of one run, each is its own
    group.

    Args:
        items (`pandas.DataFrame`): their rows of the trial table.
        by (`str`): what validation holds out, see [`neuroclip_hf.protocols.parts.Parts`].
        protocol (`str`): of the store, for a validation that the store declares, and for none.
    """
    by = BY_PROTOCOL[protocol] if by in (columns.BY_STORE, columns.BY_NONE) else by
    runs = [columns.SUBJECT, columns.SESSION, columns.RUN]
    numbers = items.groupby(_COLUMN.get(by, runs), sort=True).ngroup()
    if by == columns.BY_TRIALS and numbers.nunique() == 1:
        return list(range(len(items)))
    return numbers.tolist()
