import json
from typing import Any

import msgspec
import pytest

from linegate_bundle.errors import BundleError
from linegate_bundle.manifest import (
    Activation,
    Certificate,
    DType,
    Guarantee,
    Label,
    Manifest,
    Member,
    ModelFormat,
    Region,
    Risk,
    Role,
)
from linegate_bundle.manifest_file import decode_manifest, encode_manifest
from tests.support import tiny_manifest


def whole() -> Manifest:
    manifest = tiny_manifest()
    members = {entry.file: Member(size=1, sha256="0" * 64) for entry in manifest.models}
    return msgspec.structs.replace(manifest, members=members)


def decode(document: Any) -> Manifest:
    return decode_manifest(json.dumps(document).encode(), "0.1.0")


def test_encoding_and_decoding_gives_the_same_manifest() -> None:
    assert decode_manifest(encode_manifest(whole()), "0.1.0") == whole()


@pytest.mark.parametrize("field", Manifest.__struct_fields__)
def test_every_missing_field_is_refused(field: str) -> None:
    document = json.loads(encode_manifest(whole()))
    del document[field]
    with pytest.raises(BundleError, match=field):
        decode(document)


@pytest.mark.parametrize("where", [[], ["preprocess"], ["policy"], ["labels", 0], ["models", 1]])
def test_an_unknown_field_is_refused_wherever_it_stands(where: list[Any]) -> None:
    document = json.loads(encode_manifest(whole()))
    place = document
    for key in where:
        place = place[key]
    place["surprise"] = 1
    with pytest.raises(BundleError, match="surprise"):
        decode(document)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"schema_version"'])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        decode_manifest(content, "0.1.0")


def test_labels_that_do_not_fit_the_model_are_refused() -> None:
    labels = (*whole().labels, Label(name="scratch", role=Role.DEFECT))
    changed = msgspec.structs.replace(whole(), labels=labels, activation=Activation.SOFTMAX)
    with pytest.raises(BundleError, match=r"3 labels with softmax need .* shape \(1, 3\)"):
        decode_manifest(encode_manifest(changed), "0.1.0")


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ((Role.GOOD, Role.GOOD), "at least one label with the role defect"),
        ((Role.DEFECT, Role.DEFECT), "at least one label with the role good"),
    ],
)
def test_labels_need_both_roles(roles: tuple[Role, Role], message: str) -> None:
    labels = tuple(Label(name=str(index), role=role) for index, role in enumerate(roles))
    changed = msgspec.structs.replace(whole(), labels=labels)
    with pytest.raises(BundleError, match=message):
        decode_manifest(encode_manifest(changed), "0.1.0")


def test_a_label_twice_is_refused() -> None:
    labels = (Label(name="a", role=Role.GOOD), Label(name="a", role=Role.DEFECT))
    changed = msgspec.structs.replace(whole(), labels=labels)
    with pytest.raises(BundleError, match="label names must differ"):
        decode_manifest(encode_manifest(changed), "0.1.0")


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    policy = msgspec.structs.replace(whole().policy, accept_at_most=0.8, reject_at_least=0.2)
    changed = msgspec.structs.replace(whole(), policy=policy)
    with pytest.raises(BundleError, match=r"accept_at_most \(0\.8\) must be below"):
        decode_manifest(encode_manifest(changed), "0.1.0")


def test_a_region_outside_the_frame_is_refused() -> None:
    region = Region(x=0.6, y=0.0, width=0.6, height=1.0)
    spec = msgspec.structs.replace(whole().preprocess, region=region)
    changed = msgspec.structs.replace(whole(), preprocess=spec)
    with pytest.raises(BundleError, match="reaches outside the frame"):
        decode_manifest(encode_manifest(changed), "0.1.0")


def test_all_contradictions_are_told_at_once() -> None:
    policy = msgspec.structs.replace(whole().policy, accept_at_most=0.8, reject_at_least=0.2)
    changed = msgspec.structs.replace(whole(), policy=policy, members={})
    with pytest.raises(BundleError, match=r"accept_at_most.*; model\.int8\.tflite is not among"):
        decode_manifest(encode_manifest(changed), "0.1.0")


def test_a_model_that_is_not_there_is_named() -> None:
    only_onnx = msgspec.structs.replace(whole(), models=whole().models[1:])
    with pytest.raises(BundleError, match=r"no int8 tflite model; it holds model\.int8\.onnx"):
        only_onnx.model(ModelFormat.TFLITE)


PROVEN = Guarantee(
    risk=Risk.ESCAPE, label=None, target=0.05, confidence=0.95, pictures=200, errors=4, p_value=0.03
)


def certified(**changes: object) -> bytes:
    guarantee: Guarantee = msgspec.structs.replace(PROVEN, **changes)
    certificate = Certificate(
        guarantees=(guarantee,),
        model="model.int8.tflite",
        engine=whole().models[0].engine,
        data_sha256="0" * 64,
        pictures=200,
        groups=200,
    )
    return encode_manifest(msgspec.structs.replace(whole(), certificate=certificate))


def test_a_certificate_comes_back_as_it_was_written() -> None:
    certificate = decode_manifest(certified(), "0.1.0").certificate
    assert certificate is not None
    assert certificate.guarantees == (PROVEN,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p_value": 0.2}, "escape rate of all is certified without proof"),
        ({"errors": 201}, "certified without proof"),
        ({"label": "hole"}, "escape rate of hole is certified, but that is no label of defects"),
        ({"label": "good"}, "no label of defects"),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        decode_manifest(certified(**changes), "0.1.0")


@pytest.mark.parametrize(
    ("dtype", "zero_point"),
    [(DType.INT8, 128), (DType.UINT8, -1), (DType.FLOAT32, 0)],
)
def test_a_zero_point_that_the_type_cannot_hold_is_refused(dtype: DType, zero_point: int) -> None:
    document = json.loads(encode_manifest(whole()))
    document["models"][0]["input"]["dtype"] = dtype.value
    document["models"][0]["input"]["quantization"]["zero_point"] = zero_point
    with pytest.raises(BundleError, match=f"is {dtype} and has the zero point {zero_point}"):
        decode(document)
