"""Makes the files in `tests/fuzz/corpus/inspect`, with Python's own pickle and zipfile: `python3 make.py`.

Each is named after what it is; `main.rs` says what has to be found in it. Modules that Python has not are made up
here, so that their names get into the pickles.
"""

import collections
import gzip
import io
import os
import pickle
import struct
import sys
import types
import zipfile
import zlib
from pathlib import Path

FILES = Path(__file__).parents[3] / "tests/fuzz/corpus/inspect"


def made_up(module, name):
    """Returns a function that pickles as `module.name`."""
    parent = ""
    for part in module.split("."):
        parent = f"{parent}.{part}".lstrip(".")
        sys.modules.setdefault(parent, types.ModuleType(parent))

    def function(*arguments):
        return None

    function.__module__, function.__name__, function.__qualname__ = module, name, name
    setattr(sys.modules[module], name, function)
    return function


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


EVIL = Calls(os.system, "echo this must never be printed")
REBUILD = made_up("torch._utils", "_rebuild_tensor_v2")
STORAGE = made_up("torch", "FloatStorage")
WEIGHTS = collections.OrderedDict(w=Calls(REBUILD, STORAGE, 0, (2, 3), (3, 1), False))


def dumps(value, protocol=2):
    return pickle.dumps(value, protocol)


def torch_zip(value, compression=zipfile.ZIP_STORED, name="archive/data.pkl"):
    """As `torch.save` has written since 1.6."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr(name, dumps(value))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/data/0", struct.pack("<6f", *range(6)))
    return out.getvalue()


def torch_legacy(value):
    """As `torch.save` wrote before: a magic number, a version, facts about the system, the value, keys, raw bytes."""
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, value, ["0"]]
    return b"".join(map(dumps, parts)) + struct.pack("<q6f", 6, *range(6))


def numpy_array(descr, data):
    header = repr({"descr": descr, "fortran_order": False, "shape": (2,)}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def zip_of(entries, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def safetensors(header, data):
    return struct.pack("<Q", len(header)) + header + data


def files():
    evil = dumps(EVIL)
    for protocol in range(6):
        yield f"call-{protocol}.pkl", dumps(EVIL, protocol)
        yield f"weights-{protocol}.pkl", dumps(WEIGHTS, protocol)
    yield "plain.pkl", dumps({"a": [1, 2.5, None, True, b"x", "y"]}, 4)
    yield "torch.pt", torch_zip(WEIGHTS)
    yield "torch-evil.pt", torch_zip(EVIL)
    yield "torch-deflated-evil.pt", torch_zip(EVIL, zipfile.ZIP_DEFLATED)
    yield "torch-other-name-evil.bin", torch_zip(EVIL, name="archive/innocent.txt")
    yield "torch-legacy.pt", torch_legacy(WEIGHTS)
    yield "torch-legacy-evil.pt", torch_legacy(EVIL)
    yield "array.npy", numpy_array("<f4", struct.pack("<2f", 1, 2))
    yield "array-of-bytes-like-a-pickle.npy", numpy_array("|u1", evil)
    yield "objects-evil.npy", numpy_array("|O", evil)
    yield "fields-evil.npy", numpy_array([("a", "<f4"), ("b", "|O")], evil)
    yield "escaped-evil.npy", numpy_array("|O", evil).replace(b"'|O'", b"'|\\x4f'").replace(b"   \n", b"\n", 1)
    yield "arrays-evil.npz", zip_of({"a.npy": numpy_array("|O", evil)}, zipfile.ZIP_DEFLATED)
    yield "evil.pkl.gz", gzip.compress(evil, mtime=0)
    yield "evil.pkl.z", zlib.compress(evil)
    yield "evil.pkl.gz-cut", gzip.compress(evil + b"x" * 100, mtime=0)[:-12]
    # What is made to be overlooked.
    yield "second-after-stop-evil.pkl", dumps([1, 2]) + evil
    yield "second-without-mark-evil.pkl", dumps([1, 2], 0) + dumps(EVIL, 0)
    yield "cut-evil.pkl", evil[:-1]
    yield "broken-after-the-call-evil.pkl", evil[:-1] + b"\xff\xff"
    yield "broken-text-evil.pkl", dumps(EVIL, 0)[:-1] + b"\xff"
    yield "in-bytes-evil.pkl", dumps({"state": evil}, 4)
    yield "in-latin-1-evil.pkl", dumps({"state": evil}, 2)
    yield "in-bytes-in-bytes-evil.pkl", dumps([dumps([dumps(EVIL, 0)], 5)], 3)
    text = lambda value: b"\x8c" + bytes([len(value)]) + value.encode()
    names = text("posix") + b"\x94" + text("system") + b"\x94"
    yield "through-the-memo-evil.pkl", b"\x80\x04" + names + b"00h\x00h\x01\x93" + text("true") + b"\x85R."
    yield "put-out-of-order-evil.pkl", (
        b"\x80\x04" + text("system") + b"r\x07\x00\x00\x000" + text("posix") + b"p3\n0g3\nj\x07\x00\x00\x00\x93"
        + text("true") + b"\x85R."
    )
    yield "doubled-evil.pkl", b"\x80\x04" + text("posix") + b"2" + text("system") + b"\x93" + text("true") + b"\x85R."
    yield "escaped-names-evil.pkl", b"\x80\x04V\\u0070osix\nS'sys\\x74em'\n\x93" + text("true") + b"\x85R."
    yield "computed-names-evil.pkl", (
        b"\x80\x04cstring\nascii_letters\n" + text("system") + b"\x93" + text("true") + b"\x85R."
    )
    yield "lost-memo-evil.pkl", (
        b"\x80\x04" + text("posix") + b"p 1_0\n0" + text("system") + b"g10\n" + b"\x93" + text("true") + b"\x85R."
    )
    yield "dotted-evil.pkl", b"\x80\x04" + text("torch") + text("serialization.os.system") + b"\x93" + text("x") + b"\x85R."
    yield "inst-evil.pkl", b"(S'true'\niposix\nsystem\n."
    yield "obj-evil.pkl", b"(cposix\nsystem\nS'true'\no."
    yield "newobj-evil.pkl", b"\x80\x02cposix\nsystem\nU\x04true\x85\x81."
    yield "build-evil.pkl", b"\x80\x02cevil_module\nThing\n)\x81}b."
    yield "extension.pkl", b"\x80\x02\x82\x07U\x04true\x85R."
    yield "frames-that-lie-evil.pkl", (
        b"\x80\x04\x95\x01\0\0\0\0\0\0\0" + evil[2:-1] + b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f."
    )
    yield "protocols-evil.pkl", b"\x80\x05\x80\x02\x80\x03" + evil[2:]
    yield "no-mark-evil.pkl", evil[2:]
    yield "marks-evil.pkl", b"\x80\x02((1((0" + evil[2:]
    # Archives that say one thing to one reader and another to the next.
    whole = torch_zip(EVIL)
    yield "other-local-name-evil.pt", whole.replace(b"archive/data.pkl", b"archive/data.txt", 1)
    hidden = bytearray(torch_zip(EVIL))
    struct.pack_into("<H", hidden, 8, 12)
    yield "other-local-method-evil.pt", bytes(hidden)
    at = hidden.rindex(b"PK\x05\x06")
    locked = bytearray(whole)
    struct.pack_into("<H", locked, locked.index(b"PK\x01\x02") + 8, 1)
    yield "locked-flag-evil.pt", bytes(locked)
    yield "comment-with-an-end-evil.pt", bytes(hidden[: at + 20]) + struct.pack("<H", 22) + b"PK\x05\x06" + bytes(18)
    yield "with-something-before-evil.pt", b"PK-something" + whole
    checksum = bytearray(whole)
    struct.pack_into("<I", checksum, 14, 0)
    struct.pack_into("<I", checksum, checksum.index(b"PK\x01\x02") + 16, 0)
    yield "wrong-checksum-evil.pt", bytes(checksum)
    large = bytearray(whole)
    at = large.rindex(b"PK\x05\x06")
    count, length, offset = struct.unpack_from("<HII", large, at + 10)
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    yield "zip64-evil.pt", bytes(large[:at]) + end64 + locator + end
    # Weights of other formats, and what poses as such.
    header = b'{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    yield "good.safetensors", safetensors(header, bytes(24))
    yield "short.safetensors", safetensors(header, bytes(20))
    yield "overlapping.safetensors", safetensors(
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}', bytes(6)
    )
    yield "no-json.safetensors", safetensors(b"{nonsense", bytes(4))
    yield "evil.safetensors", evil
    # The length of the header is the length of a string as well, and behind that string a program goes on.
    start = b'{"__metadata__":{"x":"'
    both = start + b"cposix\nsystem\nX\x04\0\0\0true\x85R."
    length = ord("X") | (3 + len(start)) << 8
    yield "both-evil.safetensors", struct.pack("<Q", length) + both + b" " * (length - len(both))
    key = lambda name: struct.pack("<Q", len(name)) + name
    pair = key(b"general.architecture") + struct.pack("<I", 8) + key(b"llama")
    tensor = key(b"w") + struct.pack("<IQIQ", 1, 4, 0, 0)
    yield "good.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + pair + tensor + bytes(16)
    yield "endless.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + key(b"a") + struct.pack("<IIQ", 9, 4, 2**63)
    yield "far.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + key(b"w") + struct.pack("<IQIQ", 1, 4, 0, 2**60)
    # What is nothing of the kind, and could be taken for it.
    yield "text.md", b"cat\ndog\nbird\n(and so on.\n"
    yield "import.py", b"import os\nimport sys\n\nos.system('true')\n"
    yield "number.txt", b"I1\n.\n"
    yield "none.txt", b"N. B.: nothing\n"
    yield "config.json", b'{"model_type": "test"}\n'
    yield "images.zip", zip_of({"a.png": b"\x89PNG\r\n", "b.txt": b"cat\ndog\n"}, zipfile.ZIP_DEFLATED)
    yield "noise.bin", b"\x80\x02\x17\xb2\x00cx\ny\n"
    yield "empty", b""


FILES.mkdir(exist_ok=True)
for name, data in files():
    (FILES / name).write_bytes(data)
