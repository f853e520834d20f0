"""Hostile archives: nothing is written but the file that was asked for, where it was asked for, and no more of it."""

import io
import tarfile
import warnings
import zipfile

import pytest

import framesift.remote.archives
from framesift.core.errors import InputError
from framesift.data.benchmarks import VIDEO_SUFFIXES
from framesift.data.download import MissingFiles
from framesift.remote.archives import MAX_HEADER, MAX_RATIO, MAX_SMALL, Archive, Member, read_index
from framesift.remote.hub import Repo
from framesift.storage.checksums import DamagedError

ESCAPES = ("../../evil.mp4", "/etc/evil.mp4", "a/../../evil.mp4", "..\\..\\evil.mp4", "C:\\evil.mp4", "evil.mp4\0.txt")


def zipped(*members, pack=zipfile.ZIP_DEFLATED):
    """Members are (name or ZipInfo, content)."""
    with io.BytesIO() as file:
        with warnings.catch_warnings(), zipfile.ZipFile(file, "w", pack) as made:
            warnings.simplefilter("ignore")  # of two members of one name
            for name, content in members:
                made.writestr(name, content)
        return io.BytesIO(file.getvalue())


def tarred(*members):
    """Members are (TarInfo, content)."""
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as made:
            for info, content in members:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
        return io.BytesIO(file.getvalue())


def entry(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_member_goes_where_it_is_wanted_whatever_it_is_called(form, name, tmp_path):
    stream = zipped((name, b"x")) if form == "zip" else tarred((entry(name), b"x"))
    [member] = read_index(stream, f"x.{form}")
    Archive(stream, f"x.{form}").extract(member, tmp_path / "in" / "target.mp4")
    assert everything(tmp_path) == ["in/target.mp4"]
    target = MissingFiles(frozenset({"evil", member.stem}), VIDEO_SUFFIXES, ("*",), tmp_path / "videos").target(
        member.name
    )
    assert target is None or target.parent == tmp_path / "videos"


def test_links_and_devices_are_no_members(tmp_path):
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
    stream = tarred(*((entry(f"{number}.mp4", kind, "/etc/passwd"), b"") for number, kind in enumerate(kinds)))
    assert read_index(stream, "x.tar") == []
    link = zipfile.ZipInfo("a.mp4")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    device = zipfile.ZipInfo("b.mp4")
    device.create_system, device.external_attr = 3, 0o060666 << 16
    assert read_index(zipped((link, b"/etc/passwd"), (device, b""), ("folder/", b"")), "x.zip") == []


def test_a_target_that_is_a_link_is_replaced_and_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "target.mp4").symlink_to(outside)
    stream = zipped(("a.mp4", b"theirs"))
    Archive(stream, "x.zip").extract(read_index(stream, "x.zip")[0], tmp_path / "target.mp4")
    assert outside.read_text() == "mine"
    assert (tmp_path / "target.mp4").read_bytes() == b"theirs"


def test_of_two_members_of_one_name_the_last_counts_in_the_index_and_in_the_file(tmp_path):
    made = (("a.mp4", b"first, longer"), ("a.mp4", b"last"))
    streams = {"x.zip": zipped(*made), "x.tar": tarred(*((entry(name), content) for name, content in made))}
    for name, stream in streams.items():
        [member] = read_index(stream, name)
        Archive(stream, name).extract(member, tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"last"


def test_a_bomb_is_refused_before_anything_is_written():
    bomb = zipped(("a.mp4", b"\0" * (MAX_RATIO * MAX_SMALL // 10)))
    with pytest.raises(DamagedError, match=r"'a.mp4' would grow from [\d,]+ to 10,485,760 bytes"):
        read_index(bomb, "x.zip")
    assert read_index(zipped(("a.srt", b"\0" * MAX_SMALL)), "x.zip")[0].size == MAX_SMALL


def test_members_that_share_their_content_are_refused():
    content = bytearray(zipped(("a.mp4", b"x" * 5000), pack=zipfile.ZIP_STORED).getvalue())
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    record, tail = bytes(content[start:end]), content[end:]
    many = 3
    tail[8:12] = many.to_bytes(2, "little") * 2
    tail[12:16] = (many * len(record)).to_bytes(4, "little")
    overlapping = bytes(content[:start]) + b"".join(record.replace(b"a.mp4", b"%c.mp4" % (98 + k)) for k in range(many))
    with pytest.raises(DamagedError, match="its members overlap"):
        read_index(io.BytesIO(overlapping + bytes(tail)), "x.zip")


def test_a_member_that_is_longer_than_it_says_is_refused(tmp_path):
    stream = zipped(("a.mp4", b"x" * 100))
    with pytest.raises(DamagedError, match="longer than stated"):
        Archive(stream, "x.zip").extract(Member("a.mp4", 10), tmp_path / "target")
    assert everything(tmp_path) == []


@pytest.mark.parametrize("size", [10**6, 1 << 40])
def test_a_member_of_a_tar_that_would_be_longer_than_the_archive_is_refused(size):
    content = bytearray(tarred((entry("a.mp4"), b"x")).getvalue())
    info = entry("a.mp4")
    info.size = size
    content[:512] = info.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(DamagedError, match="longer than the archive"):
        read_index(io.BytesIO(bytes(content)), "x.tar")


def test_a_header_that_says_it_is_endless_is_not_read():
    info = entry("x", tarfile.XHDTYPE)
    info.size = MAX_HEADER * 4
    with pytest.raises(DamagedError, match=r"a header of 67,\d+,\d+ bytes"):
        read_index(io.BytesIO(info.tobuf(tarfile.PAX_FORMAT) + b"\0" * 10240), "x.tar")


def test_a_file_with_holes_is_no_member():
    info = entry("a.mp4", tarfile.GNUTYPE_SPARSE)
    assert read_index(io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10240), "x.tar") == []


@pytest.mark.parametrize("pack", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_whatever_a_damaged_member_makes_its_unpacker_raise_is_one_error(pack, tmp_path):
    content = bytearray(zipped(("a.mp4", bytes(range(256)) * 40), pack=pack).getvalue())
    content[60:90] = b"\xff" * 30
    stream = io.BytesIO(bytes(content))
    [member] = read_index(stream, "x.zip")
    with pytest.raises(DamagedError, match=r"a\.mp4 cannot be extracted"):
        Archive(stream, "x.zip").extract(member, tmp_path / "target")
    assert everything(tmp_path) == []


def test_a_full_disk_is_no_damage_of_the_archive(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(framesift.remote.archives, "_copy", full)
    stream = zipped(("a.mp4", b"x"))
    [member] = read_index(stream, "x.zip")
    with pytest.raises(OSError, match="No space left"):
        Archive(stream, "x.zip").extract(member, tmp_path / "target")


@pytest.mark.parametrize("path", ["../x.zip", "/etc/x.zip", "a/../../x.zip", "a\\x.zip", "a//x.zip", "x\0.zip", "./x"])
def test_a_hub_that_lists_files_outside_of_the_folder_is_not_believed(path, monkeypatch):
    import huggingface_hub
    from huggingface_hub.hf_api import RepoFile

    listed = RepoFile(path=path, size=1, oid="0" * 40)
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_tree", lambda *_, **__: [listed])
    with pytest.raises(InputError, match="outside of its folder"):
        Repo("someone/benchmark", "0" * 40).files()
