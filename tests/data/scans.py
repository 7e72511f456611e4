"""Made-up scans: a small brain whose voxels answer to pictures, with the response that nilearn convolves with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SHAPE, TR, VOLUMES = (5, 4, 3), 2.0, 90
ONSETS = 4.0 + 16.0 * np.arange(10)
CONCEPTS = ("bird", "cat", "dog", "fish", "goat")


@dataclass
class Scans:
    """What was planted: `runs` is the table; amplitudes (trials, voxels of the mask) in percent, in its order."""

    folder: Path
    runs: Path
    pictures: Path
    mask: Path
    amplitudes: np.ndarray


def make_pictures(root: Path) -> Path:
    for number, concept in enumerate(CONCEPTS):
        for place in range(2):
            path = root / concept / f"{concept}_{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (50 * number, 90 * place, 7)).save(path)
    return root


def make_scans(folder: Path, subjects: int = 1, noise: float = 0.02) -> Scans:
    """A training run of three concepts and a test run of two others for every subject; no two trials are alike."""
    import nibabel
    from nilearn.glm.first_level import compute_regressor

    generator = np.random.default_rng(3)
    folder.mkdir()
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[1:4, 1:3, :] = 1
    nibabel.Nifti1Image(mask, affine).to_filename(folder / "mask.nii.gz")
    atlas = np.zeros(SHAPE, dtype=np.int16)
    atlas[1], atlas[2:, 1] = 1, 2
    nibabel.Nifti1Image(atlas, affine).to_filename(folder / "atlas.nii.gz")
    (folder / "labels.tsv").write_text("index\tname\n1\tV1\n2\tLOC\n3\tnowhere\n")
    lines, planted = ["subject\tsession\trun\tsplit\tbold\tevents"], []
    for subject in range(1, subjects + 1):
        for run, (split, concepts) in enumerate((("train", CONCEPTS[:3]), ("test", CONCEPTS[3:])), start=1):
            name = f"sub-{subject:02d}_run-{run}"
            amplitudes = generator.normal(1.0, 0.5, (len(ONSETS), mask.sum()))
            times = TR * np.arange(VOLUMES)
            shapes = np.concatenate(
                [compute_regressor(np.array([[onset], [1.0], [1.0]]), "spm", times)[0] for onset in ONSETS], axis=1
            )
            signal = shapes @ amplitudes
            signal -= signal.mean(axis=0)
            signal += np.cos(np.pi * np.arange(VOLUMES) / VOLUMES)[:, None]  # a drift
            signal += noise * generator.standard_normal(signal.shape)
            values = np.full((*SHAPE, VOLUMES), 10.0, dtype=np.float32)
            values[mask.astype(bool)] = (500 * (1 + signal / 100)).T
            image = nibabel.Nifti1Image(values, affine)
            image.header.set_zooms((3.0, 3.0, 3.0, TR))
            image.header.set_xyzt_units("mm", "sec")
            image.to_filename(folder / f"{name}_bold.nii.gz")
            names = [f"{concepts[place % len(concepts)]}_{place % 2}.png" for place in range(len(ONSETS))]
            rows = [f"{onset}\t1.0\t{shown}\n" for onset, shown in zip(ONSETS, names, strict=True)]
            (folder / f"{name}_events.tsv").write_text("".join(["onset\tduration\tstim_file\n", *rows]))
            lines.append(f"sub-{subject:02d}\t1\t{run}\t{split}\t{name}_bold.nii.gz\t{name}_events.tsv")
            planted.append(amplitudes)
    (folder / "runs.tsv").write_text("\n".join(lines) + "\n")
    pictures = make_pictures(folder / "pictures")
    return Scans(folder, folder / "runs.tsv", pictures, folder / "mask.nii.gz", np.concatenate(planted))
