"""Names of dataset columns and batch keys, said once.

Every part of the package spells a column through this module, so that a store, a Parquet file, a batch and a
figure mean the same thing by the same word. Nothing here imports anything.
"""

# Trial table: one row a trial.
SUBJECT = "subject"  # who was recorded, as text: "sub-01"
SESSION = "session"  # recording session within the subject, counted from 1
RUN = "run"  # recording file within the session, counted from 1
REPEAT = "repeat"  # how many times the target had been shown before, within subject and split, counted from 0
SPLIT = "split"  # one of SPLITS
ROW = "row"  # row of the trial in the memory map of its subject and split
IMAGE_ID = "image_id"  # the picture that was shown; empty text where only the concept is known
CONCEPT = "concept"  # what the picture shows
FILE = "file"  # recording file name, without folders
DIGEST = "digest"  # of the stored epoch: equal ones are the same recording, whatever its name
SAMPLE = "sample"  # stimulus onset in samples of the recording, counted from its first stored sample

# Picture table: one row a picture.
CAPTION = "caption"
PICTURE_FILE = "picture_file"  # path of the picture inside the store
GALLERY = "gallery"  # which splits may see the picture: TRAIN, TEST or BOTH
BOTH = "both"

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
IMAGERY = "imagery"  # what was imagined, from its name: nothing is on the screen
SPLITS = (TRAIN, VALIDATION, TEST, IMAGERY)
TESTED_SPLITS = (TEST, IMAGERY)  # those that a finished run may be asked about
GALLERY_OF = {TRAIN: TRAIN, VALIDATION: TRAIN, TEST: TEST, IMAGERY: TEST}
"""Split -> the gallery that holds its pictures: what is imagined is looked for among the test pictures."""

# Channel table: one row a channel, or voxel, of a subject, where subjects differ or regions are known.
PLACE = "place"  # of the channel in the subject's arrays, counted from 0
NAME = "name"  # within its subject no other has it; another subject's channel of this name is the same channel
SCALE, OFFSET = "scale", "offset"  # value = stored number x scale + offset
COORDINATES = ("x", "y", "z")  # millimetres
ROI = "roi_"  # before the name of a region of interest: "roi_V1" holds whether the channel lies in V1

# What is known of a trial's picture, and where trials come from.
IMAGE_TARGET, CONCEPT_TARGET = "image", "concept"
RECORDED, SIMULATED = "recorded", "simulated"

# Batch keys: what the collator makes and a model's `forward` takes.
EEG_VALUES = "eeg_values"  # (batch, num_channels, num_timesteps)
FMRI_VALUES = "fmri_values"  # (batch, num_voxels)
PIXEL_VALUES = "pixel_values"  # (pictures, 3, height, width); each picture of the batch once
PICTURE_INDEX = "picture_index"  # (batch,) rows of PIXEL_VALUES
IMAGE_FEATURES = "image_features"  # (pictures, num_layers, width) of the unprompted tower
INPUT_IDS = "input_ids"  # (pictures, tokens) of the pictures' captions, for models with text supervision
ATTENTION_MASK = "attention_mask"  # (pictures, tokens) of the same: 1 for a token, 0 behind the last one
TEXT_FEATURES = "text_features"  # (pictures, width) of the frozen text tower, in place of the two before
CONCEPT_INDEX = "concept_index"  # (pictures,) numbers of the concepts that they show
SUBJECT_INDEX = "subject_index"  # (batch,) place of the subject in the checkpoint's list

# Tiers: what besides the query itself its result was computed from.
INDUCTIVE, CALIBRATED, TRANSDUCTIVE, MATCHING = "inductive", "calibrated", "transductive", "matching"

# Protocols: what training and test may share (a trial never).
NEW_CONCEPTS = "new-concepts"  # nothing shared
NEW_PICTURES = "new-pictures"  # concepts shared
NEW_TRIALS = "new-trials"  # concepts and pictures shared
PROTOCOLS = (NEW_CONCEPTS, NEW_PICTURES, NEW_TRIALS)

# Subject splits: who trains and who is tested.
POOLED = "pooled"  # the same subjects, all together
INTRA_SUBJECT = "intra-subject"  # one subject, trained and tested
LEAVE_ONE_SUBJECT_OUT = "leave-one-subject-out"  # all but one train, that one is tested: the field's inter-subject
SUBJECT_SPLITS = (POOLED, INTRA_SUBJECT, LEAVE_ONE_SUBJECT_OUT)

# Tested subjects: whether those whose trials were tested are among those that trained.
TRAINED_SUBJECTS, NEW_SUBJECTS, MIXED_SUBJECTS = "trained", "new", "mixed"
TESTED_SUBJECTS = {
    TRAINED_SUBJECTS: "that trained",
    NEW_SUBJECTS: "new to the model",
    MIXED_SUBJECTS: "of whom some trained and some are new to the model",
}

# Validation: what is held out of the training trials to choose the epoch.
AUTO = "auto"  # the store's own validation split, or what its protocol asks for; likewise for SAMPLINGS
BY_STORE, BY_CONCEPTS, BY_PICTURES, BY_TRIALS = "store", "concepts", "pictures", "trials"
BY_SESSIONS, BY_SUBJECTS = "sessions", "subjects"
BY_NONE = "none"  # nothing: only where no epoch is chosen
VALIDATIONS = (AUTO, BY_STORE, BY_CONCEPTS, BY_PICTURES, BY_TRIALS, BY_SESSIONS, BY_SUBJECTS, BY_NONE)

# Sampling: which trials meet in a training batch.
SHUFFLED = "shuffled"
SUBJECTS_BY_PICTURES = "subjects-by-pictures"
CLASS_BALANCED = "class-balanced"
SAMPLINGS = (AUTO, SHUFFLED, SUBJECTS_BY_PICTURES, CLASS_BALANCED)

SMALL_CLIP = "small-clip"
"""The vision tower that ships with the package, trained on simulated pictures; the one wherever none is named."""

RANDOM_TOWER = "random"
"""A vision tower with random weights, sized by settings."""
