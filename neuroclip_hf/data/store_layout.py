"""How a trial store lies on disk, and which columns its tables have.

```
STORE/
  store.json             what it holds, how it was made, checksums
  trials.parquet         one row a trial (columns in `neuroclip_hf.columns`)
  pictures.parquet       one row a picture
  channels.parquet       one row a channel of a subject, where subjects differ or regions of interest are known; other
                         stores have their channels in store.json
  pictures/...           the picture files, each once
  sub-01/train.npy       float16 (trials, channels, samples), or (trials, voxels); likewise validation.npy, test.npy,
                         imagery.npy
  sub-01/covariance.npy  float64 (sessions, channels, channels) of the subject's own training epochs, where the trials
                         were whitened here
```

"""

import re

from neuroclip_hf import columns

STORE_FILE = "store.json"
TRIALS_FILE, PICTURES_FILE, CHANNELS_FILE = "trials.parquet", "pictures.parquet", "channels.parquet"
PICTURES_FOLDER = "pictures"
SUBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a subject may be called, since its trials lie in a folder of that name."""
TAKEN_NAMES = (PICTURES_FOLDER, PICTURES_FILE, TRIALS_FILE, CHANNELS_FILE, STORE_FILE)
"""What lies beside those folders; some systems do not tell small letters from capitals."""
TRIAL_COLUMNS = (
    columns.SUBJECT,
    columns.SPLIT,
    columns.ROW,
    columns.IMAGE_ID,
    columns.CONCEPT,
    columns.SESSION,
    columns.RUN,
    columns.REPEAT,
    columns.FILE,
    columns.SAMPLE,
    columns.DIGEST,
)
PICTURE_COLUMNS = (columns.IMAGE_ID, columns.CONCEPT, columns.CAPTION, columns.PICTURE_FILE, columns.GALLERY)


def array_name(subject: str, split: str) -> str:
    """Where a store keeps the trials of a subject and split: "sub-01/train.npy"."""
    return f"{subject}/{split}.npy"


def array_of(name: str) -> tuple[str, str]:
    """Subject and split of an [`array_name`]."""
    subject, _, split = name.removesuffix(".npy").partition("/")
    return subject, split


def covariance_name(subject: str) -> str:
    """Where a store keeps the noise covariances of a subject."""
    return f"{subject}/covariance.npy"


def picture_name(file: str) -> str:
    """Where a store keeps a picture."""
    return f"{PICTURES_FOLDER}/{file}"


def is_picture(name: str) -> bool:
    """Whether a file of a store is one of its pictures."""
    return name.startswith(f"{PICTURES_FOLDER}/")


def is_inside(name: str) -> bool:
    """Whether a relative file name stays inside its folder, on any system."""
    parts = name.split("/")
    return not any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts)
