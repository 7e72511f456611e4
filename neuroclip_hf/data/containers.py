"""What the files of THINGS-EEG2 in its several forms are called, and the keys inside: said once."""

from neuroclip_hf.columns import TEST, TRAIN

RAW_KEYS = ("raw_eeg_data", "ch_names", "ch_types", "sfreq")
"""Of a raw recording's dictionary: (channels, samples), names, types, Hz."""
RAW_FILTERS = ("highpass", "lowpass")
"""Further keys of it, in Hz."""

PICKLED_FILES = {TRAIN: "preprocessed_eeg_training.npy", TEST: "preprocessed_eeg_test.npy"}
"""Of the dataset's own release, and of NICE and ATM, below `sub-XX`."""
PICKLED_KEYS = ("preprocessed_eeg_data", "ch_names", "times")
"""Of their dictionary: (pictures, repeats, channels, samples), names, seconds."""

UBP_FILES = {TRAIN: "train.pt", TEST: "test.pt"}
"""Of UBP, below `sub-XX`."""
UBP_KEYS = ("eeg", "img", "session", "ch_names", "times")
"""Of its dictionary: (pictures, repeats, channels, samples), paths of pictures, sessions from 0, names, seconds."""
UBP_FURTHER_KEYS = ("label", "text")
"""What it says beside that: numbers (one a concept) and words of the concepts, of which nothing is needed."""

NEUROBRIDGE_FILES = {TRAIN: "train.npy", TEST: "test.npy"}
"""Of NeuroBridge and SAMGA, below `sub-XX`: (concepts, pictures, repeats, channels, samples)."""
NEUROBRIDGE_INFO = "info.json"
"""What all of their files share, beside the subjects."""
NEUROBRIDGE_KEYS = ("ch_names", "times", "normalization")
"""Of it: names, seconds, and how the epochs were whitened."""
NEUROBRIDGE_WHITENED = "mvnn"
"""The one whitening that is known."""
