"""What the verbs of the Hub print, and what they refuse before they ask it."""


def test_a_dry_run_lists_files_with_their_sizes_and_what_stays(neuroclip, run_copy):
    (run_copy / "notes.txt").write_text("mine")
    done = neuroclip("push", run_copy, "--repo-id", "user/name", "--dry-run")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["model.safetensors", f"{(run_copy / 'model.safetensors').stat().st_size:,}"] in lines
    assert "Left out: notes.txt: stays here" in done.out
    assert "A dry run: nothing was pushed." in done.out
    result = neuroclip("push", run_copy, "--repo-id", "user/name", "--dry-run", "--json").result
    assert result["bytes"] == sum(result["files"].values())
    assert [f"{len(result['files'])}", "files", f"{result['bytes']:,}"] in lines


def test_a_dry_run_of_a_store(neuroclip, store_folder):
    done = neuroclip("push-data", store_folder, "--repo-id", "user/data", "--dry-run")
    assert "data/sub-01/train-00000-of-00001.parquet" in done.out
    assert "Left out: pictures: the store does not say that they may be redistributed." in done.out


def test_what_cannot_be_is_refused(refused, run_copy, store_folder, tmp_path):
    assert "--repo-id" in refused("push", run_copy)
    assert "as in user/name" in refused("push", run_copy, "--repo-id", "name", "--dry-run")
    assert "as in user/name" in refused("push-data", store_folder, "--repo-id", "a/b/c", "--dry-run")
    assert "as in user/name" in refused("pull", "name", "--out", tmp_path / "x")
    assert "pass --overwrite" in refused("pull", "user/name", "--out", run_copy)
    assert "holds other files and no config.json" in refused("pull", "user/name", "--out", tmp_path, "--overwrite")
    assert "--pictures" in refused("pull", "user/name", "--out", tmp_path / "x", "--pictures", tmp_path)
    assert "is not a trial store" in refused("push", run_copy, "--repo-id", "user/name", "--data", tmp_path)
