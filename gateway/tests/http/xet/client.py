"""The Hub's own Python client, unmodified, uploading and downloading by Xet.

    venv/bin/python client.py upload REPO FOLDER
    venv/bin/python client.py download REPO FOLDER NAME...
    venv/bin/python client.py ranges REPO NAME START-END...

Called by the Rust tests, which set HF_ENDPOINT, HF_TOKEN and HF_HOME. `ranges` prints the SHA-256 of each range.
"""

import hashlib
import os
import sys

import hf_xet
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url


def upload(repo, folder):
    print(HfApi().upload_folder(repo_id=repo, folder_path=folder).oid)


def download(repo, folder, *names):
    for name in names:
        assert get_hf_file_metadata(hf_hub_url(repo, name)).xet_file_data, f"{name} is not offered by Xet"
        hf_hub_download(repo, name, local_dir=folder)


def ranges(repo, name, *ranges):
    metadata = get_hf_file_metadata(hf_hub_url(repo, name))
    group = hf_xet.XetSession().new_download_stream_group(
        token_refresh_url=metadata.xet_file_data.refresh_route,
        token_refresh_headers={"authorization": "Bearer " + os.environ["HF_TOKEN"]},
    )
    file = hf_xet.XetFileInfo(metadata.xet_file_data.file_hash, metadata.size)
    for start, end in (range.split("-") for range in ranges):
        digest = hashlib.sha256()
        for piece in group.download_stream(file, start=int(start), end=int(end)):
            digest.update(piece)
        print(digest.hexdigest())


if __name__ == "__main__":
    {"upload": upload, "download": download, "ranges": ranges}[sys.argv[1]](*sys.argv[2:])
