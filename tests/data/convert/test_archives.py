"""Archives of strangers: order, grouping, and everything that must be refused or reported."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from mm15_jax.data.convert import archives
from mm15_jax.data.convert.archives import Member, Sample, ZipArchive, tar_members, tar_samples
from mm15_jax.data.preparation import BadRecord, DataError
from mm15_jax.data.source import Source


def tar_bytes(members, mode="w"):
    """A tar of (name, bytes or a TarInfo to add alone) in order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                content(info)
                tar.addfile(info)
    return stream.getvalue()


def zip_bytes(members, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def source(tmp_path):
    def write(data, name="a.tar"):
        (tmp_path / name).write_bytes(data)
        return Source(tmp_path)

    return write


MEMBERS = [("./x/1.txt", b"one"), ("x/2.txt", b""), ("3", b"three" * 200)]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_is_read_in_order(source, mode):
    found = list(tar_members(source(tar_bytes(MEMBERS, mode)), "a.tar"))
    assert found == [Member("x/1.txt", b"one"), Member("x/2.txt", b""), Member("3", b"three" * 200)]


def test_a_member_that_is_not_wanted_is_not_read(source):
    found = list(
        tar_members(source(tar_bytes(MEMBERS)), "a.tar", lambda name: "2" in name, limit=0)
    )
    assert found == [Member("x/2.txt", b"")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("../out.txt", b"x", "leads out"),
        ("a/../../out.txt", b"x", "leads out"),
        ("/etc/passwd", b"x", "leads out"),
        ("C:\\boot.ini", b"x", "leads out"),
        ("..\\out.txt", b"x", "leads out"),
        ("big.txt", b"x" * 1001, "1,001 bytes; the limit is 1,000"),
        ("link", lambda info: setattr(info, "type", tarfile.SYMTYPE), "not a regular file"),
        ("hard", lambda info: setattr(info, "type", tarfile.LNKTYPE), "not a regular file"),
        ("device", lambda info: setattr(info, "type", tarfile.CHRTYPE), "not a regular file"),
        ("pipe", lambda info: setattr(info, "type", tarfile.FIFOTYPE), "not a regular file"),
    ],
)
def test_a_harmful_member_is_refused_and_its_neighbours_are_read(source, name, content, reason):
    data = tar_bytes([("a.txt", b"a"), (name, content), ("b.txt", b"b")])
    first, bad, second = tar_members(source(data), "a.tar", limit=1000)
    assert (first, second) == (Member("a.txt", b"a"), Member("b.txt", b"b"))
    assert bad.key == f"a.tar:{name}" and reason in bad.reason


def cuts():
    whole = tar_bytes([("a.txt", b"a" * 600), ("b.txt", b"b" * 600)])
    header = bytearray(whole)
    header[1536 + 20] ^= 0xFF  # the checksum of the second header no longer holds
    return {
        "in the second's data": (whole[: 1536 + 512 + 100], ["a.txt"]),
        "in the second's header": (whole[: 1536 + 100], ["a.txt"]),
        "between members": (whole[:1536], ["a.txt"]),
        "behind the last": (whole[:3072], ["a.txt", "b.txt"]),
        "a flipped bit in a header": (bytes(header), ["a.txt"]),
        "nothing at all": (b"", []),
        "no tar": (b"hello" * 300, []),
        "gzip cut": (gzip.compress(whole)[:-30], ["a.txt"]),
    }


@pytest.mark.parametrize("cut", cuts())
def test_damage_is_reported_never_taken_for_the_end(source, cut):
    data, good = cuts()[cut]
    found = list(tar_members(source(data), "a.tar"))
    names = [member.name for member in found if isinstance(member, Member)]
    assert isinstance(found[-1], BadRecord) and found[-1].key == "a.tar"
    assert "cannot be read behind" in found[-1].reason
    assert names == good[: len(names)] and (len(names) == len(good) or "gzip" in cut)


def test_a_gzip_bomb_is_stopped(source, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 10_000)
    data = gzip.compress(tar_bytes([("a.txt", b"a"), ("b.txt", b"\0" * 50_000_000)]))
    assert len(data) * archives.MAX_RATIO < 50_000_000
    first, bad = tar_members(source(data), "a.tar")
    assert first == Member("a.txt", b"a")
    assert "unpacks to more than" in bad.reason


def test_samples_are_grouped_up_to_the_first_dot_of_the_last_part(source):
    data = tar_bytes(
        [
            ("v1.0/000.JPG", b"p0"), ("v1.0/000.txt", b"t0"), ("v1.0/000.seg.png", b"s0"),
            ("v1.0/001.jpg", b"p1"), ("README", b"?"), ("v1.0/001.json", b"{}"),
        ]
    )  # fmt: skip
    found = list(tar_samples(source(data), "a.tar", ("jpg", "txt", "seg.png")))
    assert found == [
        Sample("v1.0/000", {"jpg": b"p0", "txt": b"t0", "seg.png": b"s0"}),
        Sample("v1.0/001", {"jpg": b"p1"}),
    ]


def test_doubtful_samples_are_bad_records(source):
    data = tar_bytes(
        [
            ("0.jpg", b"p"), ("0.txt", b"t"),
            ("1.jpg", b"p"), ("1.jpg", b"q"), ("1.txt", b"t"),
            ("0.jpg", b"again"), ("0.txt", b"again"),
            ("2.jpg", b"p" * 2000), ("2.txt", b"t"),
            ("../3.jpg", b"p"),
            ("4.jpg", b"p"), ("4.txt", b"t"),
        ]
    )  # fmt: skip
    found = list(tar_samples(source(data), "a.tar", ("jpg", "txt"), limit=1000))
    good = [sample.key for sample in found if isinstance(sample, Sample)]
    bad = {sample.key: sample.reason for sample in found if isinstance(sample, BadRecord)}
    assert good == ["0", "4"]
    assert bad.keys() == {"a.tar:1", "a.tar:0", "a.tar:2", "a.tar:../3"}
    assert bad["a.tar:1"] == "it has two members 'jpg'"
    assert bad["a.tar:0"] == "a sample of this key was there before"
    assert "2,000 bytes" in bad["a.tar:2"]


def test_the_sample_in_which_an_archive_breaks_is_not_given_out(source):
    whole = tar_bytes([("0.jpg", b"p"), ("0.txt", b"t"), ("1.jpg", b"p"), ("1.txt", b"t")])
    first, bad = tar_samples(source(whole[: 3 * 1024]), "a.tar", ("jpg", "txt"))
    assert first.key == "0"
    assert bad.key == "a.tar:1" and "cannot be read behind 1.jpg" in bad.reason


def test_a_zip_is_read_in_order_and_by_name(source):
    files = source(zip_bytes(MEMBERS), "a.zip")
    assert [m.name for m in archives.zip_members(files, "a.zip")] == ["x/1.txt", "x/2.txt", "3"]
    archive = archives.zip_archive(files, "a.zip")
    assert archive.read("x/1.txt") == b"one" and "x/1.txt" in archive and "4" not in archive
    with pytest.raises(DataError, match="no member '4'"):
        archive.read("4")
    with pytest.raises(DataError, match="leads out"):
        archive.read("../3")


def test_harmful_and_damaged_zip_members_are_refused_one_by_one(source):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    data = bytearray(
        zip_bytes(
            [("a", b"a"), ("../out", b"x"), ("/abs", b"x"), (link, b"/etc/passwd"),
             ("big", bytes(range(256)) * 8), ("broken", b"payload"), ("z", b"z")],
            zipfile.ZIP_STORED,
        )
    )  # fmt: skip
    data[data.index(b"payload")] ^= 1
    found = list(archives.zip_members(source(bytes(data), "a.zip"), "a.zip", limit=1000))
    bad = {record.key: record.reason for record in found if isinstance(record, BadRecord)}
    assert [m.name for m in found if isinstance(m, Member)] == ["a", "z"]
    assert bad.keys() == {f"a.zip:{n}" for n in ("../out", "/abs", "link", "big", "broken")}
    assert "CRC" in bad["a.zip:broken"] and "link or device" in bad["a.zip:link"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_a_zip_has_twice_is_told(source):
    data = zip_bytes([("a", b"first"), ("a", b"second")])
    _, bad = archives.zip_members(source(data, "a.zip"), "a.zip")
    assert bad.key == "a.zip:a" and "before" in bad.reason


def test_zip_bombs_and_cut_zips_are_refused_whole(source):
    bomb = source(zip_bytes([("a", b"\0" * 40_000_000)]), "bomb.zip")
    with pytest.raises(DataError, match="times its size"):
        ZipArchive(bomb, "bomb.zip")
    cut = source(zip_bytes(MEMBERS)[:-40], "cut.zip")
    (bad,) = archives.zip_members(cut, "cut.zip")
    assert bad.key == "cut.zip" and "not a readable zip file" in bad.reason


def test_an_archive_that_is_not_there_is_told(source):
    files = source(b"", "other")
    (bad,) = tar_members(files, "a.tar")
    assert "there is no file 'a.tar'" in bad.reason


class Reset(io.BytesIO):
    """A file of a server that closes the connection half way."""

    def read(self, size=-1):
        if self.tell() > len(self.getbuffer()) // 2:
            raise ConnectionResetError(104, "Connection reset by peer")
        return super().read(size)


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("a.tar", lambda source: list(tar_members(source, "a.tar"))),
        ("a.zip", lambda source: ZipArchive(source, "a.zip")),
    ],
)
def test_a_connection_that_breaks_is_no_damage_of_the_archive(source, monkeypatch, file, read):
    members = [(f"{i}.txt", b"x" * 100) for i in range(50)]
    data = tar_bytes(members) if file == "a.tar" else zip_bytes(members)
    found = source(data, file)
    monkeypatch.setattr(Source, "open", lambda self, name: Reset(data))
    with pytest.raises(ConnectionResetError):
        read(found)
