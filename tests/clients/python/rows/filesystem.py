"""HfFileSystem, which pandas, datasets and others read through: ranges, globs, and writing."""

import huggingface_hub as hub
from world import files_of, same, sha256, told


def _reader(t):
    return hub.HfFileSystem(endpoint=t.read, token=False, skip_instance_cache=True)


def _writer(t):
    return hub.HfFileSystem(endpoint=t.write, token=t.token, skip_instance_cache=True)


def a_folder_is_listed_as_in_a_file_system(t):
    entries = {entry["name"]: entry for entry in _reader(t).ls(f"{t.model}/weights")}
    same(set(entries), {f"{t.model}/weights/large.bin", f"{t.model}/weights/small.bin"}, "entries")
    same(entries[f"{t.model}/weights/large.bin"]["size"], 20_000_000, "size of large.bin")
    same(entries[f"{t.model}/weights/large.bin"]["lfs"]["sha256"],
         t.shelf["model"]["files"]["weights/large.bin"]["sha256"], "sha256 of large.bin")


def a_glob_finds_what_matches(t):
    fs = _reader(t)
    same(set(fs.glob(f"{t.model}/**/*.bin")), {f"{t.model}/weights/large.bin", f"{t.model}/weights/small.bin"}, "*.bin")
    same(set(fs.glob(f"datasets/{t.shelf['data']['id']}/data/*.csv")),
         {f"datasets/{t.shelf['data']['id']}/data/{name}.csv" for name in ("train", "test")}, "*.csv of the dataset")


def a_search_of_a_file_system_is_complete(t):
    found = {path.removeprefix(f"{t.model}/") for path in _reader(t).find(t.model)} - {".gitattributes"}
    same(found, set(t.shelf["model"]["files"]), "files")


def any_range_of_a_large_file_is_right(t):
    fs, path = _reader(t), f"{t.model}/weights/large.bin"
    content = open(f"{t.shelf['model']['folder']}/weights/large.bin", "rb").read()
    for start, end in ((0, 1), (0, 8), (1 << 20, (1 << 20) + 1000), (16_383, 16_385), (len(content) - 16, len(content))):
        same(fs.cat_file(path, start=start, end=end), content[start:end], f"bytes {start}..{end}")
    same(fs.cat_file(path, start=-10), content[-10:], "the last ten bytes")


def a_file_is_read_here_and_there(t):
    content = open(f"{t.shelf['model']['folder']}/weights/large.bin", "rb").read()
    with _reader(t).open(f"{t.model}/weights/large.bin", "rb", block_size=1 << 16) as file:
        for place in (12_345_678, 3, 19_999_990):
            file.seek(place)
            same(file.read(100), content[place : place + 100], f"100 bytes at {place}")
        same(file.read(100), content[20_000_000:], "what is behind the end")


def a_file_is_read_as_a_stream(t):
    with _reader(t).open(f"{t.model}/weights/large.bin", "rb", block_size=0) as file:
        data = b"".join(iter(lambda: file.read(1 << 20), b""))
    same(sha256(data), t.shelf["model"]["files"]["weights/large.bin"]["sha256"], "large.bin")


def a_path_with_a_revision_leads_there(t):
    fs = _reader(t)
    same(fs.cat_file(f"{t.model}@feature%2Fone/branch.txt"), b"only here\n", "branch.txt")
    same(fs.exists(f"{t.model}/branch.txt"), False, "branch.txt on main")
    same(fs.read_text(f"{t.model}@v1/README.md"), t.shelf["model"]["first_readme"], "README.md at v1")


def a_file_system_tells_files_from_folders(t):
    fs = _reader(t)
    same((fs.isfile(f"{t.model}/config.json"), fs.isdir(f"{t.model}/weights")), (True, True), "a file and a folder")
    same((fs.isdir(f"{t.model}/config.json"), fs.exists(f"{t.model}/no")), (False, False), "neither")
    same(fs.info(f"{t.model}/config.json")["size"], t.shelf["model"]["files"]["config.json"]["size"], "size")
    assert fs.modified(f"{t.model}/config.json"), "no date"


def a_file_is_written_as_in_a_file_system(t):
    repo, fs = t.repo(), _writer(t)
    with fs.open(f"{repo}/notes/one.txt", "w") as file:
        file.write("written by hand\n")
    t.holds(repo, {"notes/one.txt": b"written by hand\n"})


def a_file_is_removed_and_copied_as_in_a_file_system(t):
    files = {"one.txt": b"one", "two.bin": t.noise(100_000), "old/three.txt": b"three"}
    repo, fs = t.repo(files=files), _writer(t)
    fs.cp_file(f"{repo}/two.bin", f"{repo}/copy/two.bin")
    fs.rm(f"{repo}/one.txt")
    fs.rm(f"{repo}/old", recursive=True)
    t.holds(repo, {"two.bin": files["two.bin"], "copy/two.bin": files["two.bin"]})
