"""DICOM: pixels as people see them, from the library's own test files; nothing of the patient; odd files refused."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian

from central.annotate import dicom, exchange, folders
from central.annotate.exchange import Project
from central.annotate.formats import FormatError
from central.annotate.profile import Redaction
from central.store.blobs import Blobs
from central.store.database import Database

SALT = b"s" * 32
NAME = "Doe^Jane"


def sample(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip(f"pydicom came without {name}")
    return Path(str(found))


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """A function that writes a grey DICOM file of the given values ``[N?, H, W]``, and returns its path."""

    def write(values: np.ndarray, **tags: Any) -> Path:
        made = pydicom.dcmread(sample("CT_small.dcm"))
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for name in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
            if name in made:
                delattr(made, name)
        made.Rows, made.Columns = values.shape[-2:]
        made.PixelRepresentation, made.BitsStored, made.BitsAllocated, made.HighBit = 0, 16, 16, 15
        if values.ndim == 3:
            made.NumberOfFrames = len(values)
        made.PixelData = values.astype("<u2").tobytes()
        made.PatientName, made.PatientID = NAME, "SECRET-4711"
        for name, value in tags.items():
            setattr(made, name, value)
        path = tmp_path / "scans" / f"{NAME}.dcm"
        path.parent.mkdir(exist_ok=True)
        made.save_as(path)
        return path

    return write


RAMP = np.linspace(0, 1000, 16, dtype=np.uint16).reshape(4, 4)


def shown(path: Path, frame: int = 0, window: tuple[float, float] | None = None) -> np.ndarray:
    return dicom.grey(dicom.pixels(path), frame, window)


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "SC_rgb_rle.dcm",
        "SC_rgb_small_odd.dcm", "SC_ybr_full_422_uncompressed.dcm", "examples_palette.dcm", "ExplVR_BigEnd.dcm",
        "SC_rgb_rle_16bit.dcm", "rtdose.dcm",
    ],
)  # fmt: skip
def test_grey__of_the_librarys_own_files(name: str) -> None:
    image = shown(sample(name))
    assert image.dtype == np.uint8 and image.ndim == 3
    assert image.std() > 5, "neither black nor white all over"


def test_grey__same_picture_however_it_is_stored() -> None:
    images = [shown(sample(name)) for name in ("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm")]
    assert all(np.array_equal(images[0], image) for image in images[1:])


def test_grey__whole_range_without_a_window(make: Any) -> None:
    image = shown(make(RAMP))[..., 0]
    assert (image[0, 0], image[-1, -1]) == (0, 255)
    assert np.all(np.diff(image.ravel().astype(int)) > 0)


def test_grey__window_of_the_file_after_rescale(make: Any) -> None:
    path = make(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=0, WindowWidth=400)
    hounsfield, image = RAMP * 2.0 - 1000, shown(path)[..., 0]
    assert np.all(image[hounsfield < -205] == 0) and np.all(image[hounsfield > 205] == 255)
    middle = image[(hounsfield > -100) & (hounsfield < 100)]
    assert middle.size and np.all((middle > 40) & (middle < 215))


def test_grey__window_that_is_given_counts(make: Any) -> None:
    path = make(RAMP, WindowCenter=10, WindowWidth=5)
    assert len(np.unique(shown(path, window=(500, 1000)))) > 10
    assert len(np.unique(shown(path))) <= 3


def test_grey__monochrome1_is_inverted(make: Any) -> None:
    plain, inverted = shown(make(RAMP)), shown(make(RAMP, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(255 - plain, inverted)


def test_grey__each_frame_of_a_file(make: Any) -> None:
    path = make(np.stack([RAMP, RAMP[::-1], RAMP.T]))
    assert dicom.look(path, SALT).frames == 3  # type: ignore[union-attr]
    assert np.array_equal(shown(path, 1), shown(path, 0)[::-1])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("JPEG2000.dcm", "which nothing installed here decodes"),
        ("MR_small_jpeg_ls_lossless.dcm", "which nothing installed here decodes"),
        ("MR_truncated.dcm", "cannot be decoded"),
    ],
)
def test_pixels__refused_in_one_line(name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample(name)
    if "compressed" in says or "decodes" in says:
        for decoder in vars(pydicom.pixels.decoders).values():
            if hasattr(decoder, "_available"):
                monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(FormatError) as caught:
        dicom.pixels(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["rtplan.dcm", "test-SR.dcm", "README.txt", "reportsi.dcm"])
def test_look__no_image(name: str) -> None:
    assert dicom.look(sample(name), SALT) is None


def test_look__bytes_of_chance(tmp_path: Path) -> None:
    whole = sample("MR_small.dcm").read_bytes()
    rng = np.random.default_rng(0)
    for turn in range(60):
        data = bytearray(whole[: int(rng.integers(100, len(whole)))])
        for _ in range(20):
            data[int(rng.integers(132, len(data)))] = int(rng.integers(256)) if len(data) > 140 else data[0]
        (tmp_path / "x.dcm").write_bytes(bytes(data))
        try:
            if dicom.look(tmp_path / "x.dcm", SALT) is not None:
                dicom.grey(dicom.pixels(tmp_path / "x.dcm"), 0)
        except FormatError as error:
            assert "\n" not in str(error), turn


@pytest.mark.parametrize(("tags", "says"), [({"Rows": 60000}, "60000"), ({"NumberOfFrames": 99999999}, "split it")])
def test_look__giants(make: Any, tags: dict[str, Any], says: str) -> None:
    with pytest.raises(FormatError, match=says):
        dicom.look(make(RAMP, **tags), SALT)


@pytest.mark.parametrize(("text", "found"), [(None, None), ("40,400", (40.0, 400.0))])
def test_window(text: str | None, found: tuple[float, float] | None) -> None:
    assert dicom.window(text) == found


@pytest.mark.parametrize("text", ["40", "a,b", "1,0", "nan,5", "1,inf"])
def test_window__refused(text: str) -> None:
    with pytest.raises(FormatError, match="window"):
        dicom.window(text)


def test_identity__is_salted(make: Any) -> None:
    path = make(RAMP)
    one, two = dicom.look(path, SALT), dicom.look(path, b"t" * 32)
    assert one is not None and two is not None
    assert one.identity != two.identity
    assert one == dicom.look(path, SALT)


async def take_in(db: Database, blobs: Blobs, kind: str, root: Path) -> exchange.Imported:
    dataset, opener = folders.scan(kind, root, None, Redaction(), lambda: SALT)
    return await exchange.take_in(db, blobs, dataset, opener, Project(("lesion",)), "import")


async def test_import__patient_stays_in_the_file(db: Database, blobs: Blobs, make: Any, tmp_path: Path) -> None:
    make(RAMP, StudyDescription="Jane is ill", InstitutionName="St. Nowhere")
    done = await take_in(db, blobs, "dicom", tmp_path / "scans")
    assert (done.frames, done.labelled) == (1, 0)
    with sqlite3.connect(tmp_path / "central.db") as link:
        stored = "\n".join(link.iterdump())
        (key,) = link.execute("SELECT blob FROM frame").fetchone()
    link.close()
    held = stored.encode() + await blobs.read(key)
    uid = str(pydicom.dcmread(tmp_path / "scans" / f"{NAME}.dcm").SOPInstanceUID)
    for secret in ("Doe", "Jane", "4711", "Nowhere", uid):
        assert secret.encode() not in held
    assert "pending" in stored


async def test_import__twice_is_once(db: Database, blobs: Blobs, make: Any, tmp_path: Path) -> None:
    make(np.stack([RAMP, RAMP[::-1]]), InstanceNumber=3)
    shutil.copy(sample("MR_small.dcm"), tmp_path / "scans" / "b")
    shutil.copy(sample("rtplan.dcm"), tmp_path / "scans" / "c")
    first, second = [await take_in(db, blobs, "dicom", tmp_path / "scans") for _ in range(2)]
    assert (first.frames, second.frames) == (3, 0)
    assert first.left_out == {"files that are no DICOM images": 1}
    with sqlite3.connect(tmp_path / "central.db") as link:
        rows = link.execute('SELECT camera, "index" FROM frame ORDER BY "index"').fetchall()
    link.close()
    assert len({camera for camera, _ in rows}) == 2
    assert sorted(place for _, place in rows)[-2:] == [4, 5]


async def test_import__folder_of_images(db: Database, blobs: Blobs, tmp_path: Path) -> None:
    for name, grey in (("a/1.png", 10), ("a/2.jpg", 20), ("b/3.bmp", 30)):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((20, 30, 3), grey, np.uint8))
    (tmp_path / "images" / "notes.txt").write_text("no image")
    done = await take_in(db, blobs, "images", tmp_path / "images")
    assert (done.frames, done.labelled) == (3, 0)


def test_redact__before_anything_is_stored() -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    data, _, _ = folders.encode(image, Redaction(masks=((0.0, 0.0, 0.5, 0.25),)))
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert seen[:8, :28].max() < 20
    assert seen[14:].min() > 180
    assert image.min() == 200, "what was given stays as it is"


def test_redact__pixelated() -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    seen = folders.redact(image, Redaction(method="pixelate", masks=((0.0, 0.0, 1.0, 0.5),)))
    assert len(np.unique(seen[:32].reshape(-1, 3), axis=0)) <= 200
    assert np.array_equal(seen[32:], image[32:])
