"""The contract of CloudEvents 1.0: the three modes of POST, and the CloudEvent that GET returns."""

import json
import uuid
from typing import Any

import pytest
from bodies import HALF_PAIRS
from cloudevent_requests import (
    ACCEPTS, CLOUDEVENT, CLOUDEVENTS, HEADERS, MODES, REFUSED, TEXT, WRONG_HEADERS, a_cloudevent, binary_headers,
    changed, post_batch, post_binary, post_structured, status_and_etag,
)  # fmt: skip
from targets import Api, an_event, assert_faults, assert_problem, get, post, value_of

def get_cloudevent(api: Api, event_id: str) -> dict[str, Any]:
    """Return an event as a CloudEvent."""
    response = get(api, event_id, Accept=CLOUDEVENT)
    assert (response.status, response.headers["content-type"]) == (200, CLOUDEVENT)
    return response.json


# The mapping


def test_cloudevent_is_an_event(api: Api) -> None:
    """id, type and subject keep their names. time is occurred_at, data is payload, the rest is in cloudevent.

    An extension may have the name of a field.
    """
    sent = a_cloudevent(
        subject="orders/1001", time="2026-01-31T09:30:00.5+08:00", datacontenttype="application/vnd.order+json",
        dataschema="https://example.com/order.json#v2", traceparent="00-0af7", count=-7, urgent=False,
        payload="p", cloudevent="c",
    )  # fmt: skip
    response = post_structured(api, sent)
    assert (response.status, response.headers["content-type"]) == (201, "application/json")
    stored = response.json
    assert stored.pop("created_at")
    assert stored == {
        "id": sent["id"],
        "type": "test_event",
        "subject": "orders/1001",
        "occurred_at": "2026-01-31T09:30:00.5+08:00",
        "cloudevent": {
            "source": "/tests", "datacontenttype": "application/vnd.order+json",
            "dataschema": "https://example.com/order.json#v2", "traceparent": "00-0af7", "count": -7, "urgent": False,
            "payload": "p", "cloudevent": "c",
        },
        "payload": sent["data"],
    }  # fmt: skip
    assert get(api, sent["id"]).body == response.body
    assert get_cloudevent(api, sent["id"]) == sent


def test_data_comes_back_with_the_same_value(api: Api) -> None:
    """The data of a CloudEvent is as lossless as a payload."""
    text = '{"a":[1.0,1e400,-0,%s],"s":"\\u0000\\ud83d\\ude00"}' % ("123456789" * 30)
    event_id = f"test-{uuid.uuid4()}"
    body = '{"specversion":"1.0","id":"%s","source":"s","type":"t","data":%s}' % (event_id, text)
    assert post_structured(api, body.encode()).status == 201
    assert value_of(get(api, event_id, Accept=CLOUDEVENT).body)["data"] == value_of(text)


@pytest.mark.parametrize("first", MODES)
def test_mode_makes_no_difference_for_the_content(api: Api, first: str) -> None:
    """The same CloudEvent in another mode is a repeat. It is returned as it was first sent."""
    sent = a_cloudevent(subject=f"a {TEXT}", text=TEXT, empty="", number=0, least=-(2**31), most=2**31 - 1, flag=True)
    etags = set()
    for mode in [first, *(mode for mode in MODES if mode != first)]:
        status, etag = status_and_etag(MODES[mode](api, sent))
        assert status == (200 if etags else 201)
        etags.add(etag)
    assert len(etags) == 1
    as_texts = {"number": "0", "least": "-2147483648", "most": "2147483647", "flag": "true"}
    in_headers = {**as_texts, "datacontenttype": "application/json"}  # headers have no types
    assert get_cloudevent(api, sent["id"]) == {**sent, **(in_headers if first == "binary" else {})}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "change",
    [
        {"source": "/other"}, {"dataschema": "https://example.com/a"}, {"n": "2"}, {"m": "1"},
        {"datacontenttype": "application/vnd.a+json"}, {"data": {"n": 2}}, {"type": "other"},
    ],
    ids=str,
)  # fmt: skip
def test_other_content_with_the_same_id_gets_409(api: Api, mode: str, change: dict[str, Any]) -> None:
    """Ids are unique within a tenant, whatever the source is. Every attribute is part of the content."""
    sent = a_cloudevent(n="1")
    etag = post_structured(api, sent).headers["etag"]
    response = MODES[mode](api, {**sent, **change})
    if mode == "batch":
        (result,) = response.json["results"]
        assert (result["status"], result["problem"]["type"]) == (409, "urn:event-api:problem:event-conflict")
    else:
        assert_problem(response, 409, "event-conflict")
        assert response.headers["etag"] == etag


def test_null_attribute_is_absent(api: Api) -> None:
    """An attribute that is null counts as not sent."""
    sent = a_cloudevent()
    nothing = dict.fromkeys(["subject", "time", "dataschema", "datacontenttype", "other"])
    assert post_structured(api, {**sent, **nothing}).status == 201
    assert get_cloudevent(api, sent["id"]) == sent


def test_plain_event_is_a_cloudevent(api: Api) -> None:
    """An event in plain JSON has a fixed source. Sent back as a CloudEvent, it is the same content."""
    event = an_event(subject="a", occurred_at="2026-01-31T09:30:00Z")
    etag = post(api, event).headers["etag"]
    cloudevent = get_cloudevent(api, event["id"])
    assert cloudevent == {
        "specversion": "1.0", "id": event["id"], "source": "urn:event-api:events", "type": event["type"],
        "subject": "a", "time": "2026-01-31T09:30:00Z", "data": event["payload"],
    }  # fmt: skip
    for mode in MODES.values():
        assert status_and_etag(mode(api, cloudevent)) == (200, etag)
    assert "cloudevent" not in get(api, event["id"]).json


def test_plain_json_cannot_send_attributes(api: Api) -> None:
    """The field `cloudevent` is for responses only, as created_at is."""
    assert_faults(post(api, an_event(cloudevent={"source": "/a"})), "/cloudevent")
    assert_faults(post(api, an_event(source="/a", specversion="1.0")), "/source", "/specversion")


def test_list_has_the_attributes(api: Api) -> None:
    """A list is always plain JSON. Its events are complete."""
    subject = f"subject-{uuid.uuid4()}"
    post_structured(api, a_cloudevent(subject=subject, n=1))
    response = api.request("GET", f"/events?subject={subject}", None, {"Accept": f"{CLOUDEVENT}, {CLOUDEVENTS}"})
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert [event["cloudevent"] for event in response.json["events"]] == [{"source": "/tests", "n": 1}]


# What is refused

def test_what_cannot_be_kept_is_refused(api: Api) -> None:
    """Each fault has its pointer. Nothing is changed or left out in silence."""
    for start in range(0, len(REFUSED), 100):
        part = REFUSED[start : start + 100]
        results = post_batch(api, *(changed(change) for change, _ in part)).json["results"]
        assert {result["status"] for result in results} == {400}
        found = [sorted(fault["pointer"] for fault in result["problem"]["errors"]) for result in results]
        assert found == [pointers for _, pointers in part]
    assert_faults(post_structured(api, changed({"source": "", "A": 1})), "/A", "/source")


@pytest.mark.parametrize("data", HALF_PAIRS)
def test_data_with_half_a_surrogate_pair_is_refused(api: Api, data: str) -> None:
    """In a batch, the other events are stored."""
    assert_faults(post_structured(api, a_cloudevent(data=data)), "/data")
    # API Gateway itself refuses a body that is a string. Its fault has no pointer.
    response = post_binary(api, a_cloudevent(data=data))
    assert (response.status, response.json["type"]) == (400, "urn:event-api:problem:invalid-event")
    results = post_batch(api, a_cloudevent(data=data), a_cloudevent()).json["results"]
    assert [result["status"] for result in results] == [400, 201]


@pytest.mark.parametrize("body", [b"[]", b'[{"specversion":"1.0"}]', b'"a"', b"null", b"", b"x", b"{"], ids=repr)
def test_structured_body_is_one_object(api: Api, body: bytes) -> None:
    """A CloudEvent is one JSON object."""
    assert_faults(post_structured(api, body), "")


def test_repeated_member_is_refused(api: Api) -> None:
    """An attribute that appears twice is a fault, and so is a repeated key in the data. It hides no other fault."""
    body = b'{"specversion":"1.0","source":"a","source":"a","type":"t","id":"a","id":"a","data":{}}'
    assert_faults(post_structured(api, body), "/source", "/id")
    assert_faults(post_structured(api, b'{"specversion":"2","id":"!","type":"a","type":"a"}'),
                  "/type", "/id", "/data", "/specversion", "/source")  # fmt: skip
    body = json.dumps(a_cloudevent(data={"k": 1})).replace('{"k": 1}', '{"k": 1, "k": 1}')
    assert_faults(post_structured(api, body.encode()), "/data/k")


def test_size_of_a_cloudevent_is_limited(api: Api) -> None:
    """A CloudEvent has at most 262,144 bytes, as every event. In binary mode, its body counts."""
    big = a_cloudevent(data={"fill": "x" * 262_144})
    for response in (post_structured(api, big), post_binary(api, big)):
        assert response.status == 413
    (result,) = post_batch(api, big).json["results"]
    assert (result["status"], result["id"]) == (413, big["id"])


# Binary mode


def test_headers_are_decoded(api: Api) -> None:
    """A quoted string is unquoted, and then percent-encoding is decoded once (HTTP binding, 3.1.3.2)."""
    sent = a_cloudevent()
    assert post_binary(api, sent, **{f"ce-x{n}": text for n, (text, _) in enumerate(HEADERS)}).status == 201
    stored = get_cloudevent(api, sent["id"])
    assert [stored[f"x{n}"] for n in range(len(HEADERS))] == [value for _, value in HEADERS]


def test_wrong_headers_are_refused(api: Api) -> None:
    """The pointer is the place in the JSON format of the same CloudEvent. Two spellings of a name are two lines."""
    sent = a_cloudevent()
    # A gateway may refuse or change bytes that are not ASCII, so only the tests of the module send them.
    wrong = {f"ce-x{n}": text for n, text in enumerate(WRONG_HEADERS) if text.isascii()}
    more = {
        "ce-a-b": "a", "ce-a_b": "a", "ce-datacontenttype": "application/json", "ce-data": "{}",
        "ce-data_base64": "e30=", "Ce-Id": "b", "CE-SOURCE": "/tests", "ce-time": "now", "ce-type": "",
        "ce-specversion": "0.3",
    }  # fmt: skip
    pointers = [f"/{name.removeprefix('ce-')}" for name in (*wrong, *(name.lower() for name in more))]
    assert_faults(api.request("POST", "/events", b"{}", {**binary_headers(sent), **wrong, **more}), *pointers)
    assert_faults(post_binary(api, sent, Content_Type="application/json; a"), "/datacontenttype")
    assert get(api, sent["id"]).status == 404


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
def test_missing_header_is_reported(api: Api, missing: str) -> None:
    """A request with any header of CloudEvents is a CloudEvent. It is never taken for an event in plain JSON."""
    headers = binary_headers(a_cloudevent())
    del headers[f"ce-{missing}"]
    body = json.dumps(an_event()).encode()
    assert_faults(api.request("POST", "/events", body, headers), f"/{missing}")


@pytest.mark.parametrize("data", [[], [{}], [an_event()]], ids=["empty", "object", "event"])
def test_array_in_binary_mode_is_no_batch(api: Api, data: list[Any]) -> None:
    """The body of binary mode is the data of one CloudEvent, so it must be an object."""
    response = post_binary(api, a_cloudevent(data=data))
    assert_faults(response, "" if response.json["errors"][0]["pointer"] == "" and data == [] else "/data")


@pytest.mark.parametrize("media_type", [
    "application/vnd.order+json", "text/json", "application/json; v=2", 'application/json; v=";charset=latin-1;"',
])  # fmt: skip
def test_media_type_of_the_data_is_kept(api: Api, media_type: str) -> None:
    """In binary mode, Content-Type is datacontenttype: any media type of JSON."""
    sent = a_cloudevent(datacontenttype=media_type)
    assert post_binary(api, sent).status == 201
    assert get_cloudevent(api, sent["id"]) == sent
    assert post_structured(api, sent).status == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None, "text/plain", "application/xml", "application/cloudevents+avro", "application/cloudevents",
        "application/cloudevents-other+json", "application/json; charset=latin-1",
        "application/vnd.a+json;charset=utf-16",
    ],
)  # fmt: skip
def test_other_media_type_in_binary_mode_gets_415(api: Api, content_type: str | None) -> None:
    """Data that is not JSON in UTF-8 cannot be kept."""
    headers = {name: value for name, value in binary_headers(a_cloudevent()).items() if name != "Content-Type"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    response = api.request("POST", "/events", b"{}", headers)
    assert_problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("parameters", ["; charset=utf-8", ';charset="UTF-8"', "; charset=UTF-8; a=b", ";"])
def test_parameters_of_the_media_type(api: Api, parameters: str) -> None:
    """charset=utf-8 makes no difference, and other parameters are ignored."""
    for media_type, body in (
        (CLOUDEVENT, a_cloudevent()), (CLOUDEVENT.title(), a_cloudevent()), (CLOUDEVENTS, [a_cloudevent()]),
    ):  # fmt: skip
        headers = {"Content-Type": media_type + parameters}
        assert api.request("POST", "/events", json.dumps(body).encode(), headers).status in (201, 207)


def test_charset_of_binary_mode_does_not_change_the_content(api: Api) -> None:
    """A missing datacontenttype means application/json. charset=utf-8 makes no difference."""
    sent = a_cloudevent()
    etag = post_structured(api, sent).headers["etag"]
    for media_type in ("application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'):
        assert status_and_etag(post_binary(api, sent, Content_Type=media_type)) == (200, etag)
        assert status_and_etag(post_structured(api, {**sent, "datacontenttype": media_type})) == (200, etag)


def test_structured_mode_ignores_the_headers_of_binary_mode(api: Api) -> None:
    """A sender may repeat the attributes in headers (HTTP binding, 3.2.3). The body counts."""
    sent = a_cloudevent()
    assert post_structured(api, sent, ce_id="other", ce_source="%zz", ce_type="other").status == 201
    assert get_cloudevent(api, sent["id"]) == sent


def test_space_after_the_media_type_does_not_change_the_content(api: Api) -> None:
    """A header has no space at its end, so the modes could not agree about one."""
    sent = a_cloudevent(datacontenttype="text/json; v=2")
    etag = post_structured(api, {**sent, "datacontenttype": "text/json; v=2 \t"}).headers["etag"]
    for mode in MODES.values():
        assert status_and_etag(mode(api, sent)) == (200, etag)


# A batch


def test_batch_has_a_result_for_each_cloudevent(api: Api) -> None:
    """A CloudEvent that cannot be kept does not refuse the others."""
    first, last = a_cloudevent(n=1), a_cloudevent(time="2026-01-31T09:30:00Z")
    response = post_batch(api, first, {**first, "source": "/other"}, {"id": "a", "specversion": "0.3"}, 5, last)
    assert response.status == 207
    results = response.json["results"]
    assert [result["status"] for result in results] == [201, 409, 400, 400, 201]
    pointers = [fault["pointer"] for fault in results[2]["problem"]["errors"]]
    assert sorted(pointers) == ["/data", "/source", "/specversion", "/type"]
    assert results[2]["id"] == "a" and "id" not in results[3]
    assert [get_cloudevent(api, sent["id"]) for sent in (first, last)] == [first, last]


@pytest.mark.parametrize("body", [b"[]", b"{}", b"x", b"", b"[1,]", b"[" + b"{}," * 100 + b"{}]"], ids=repr)
def test_batch_is_an_array_of_1_to_100(api: Api, body: bytes) -> None:
    """A body that is no batch is one fault. Nothing is stored."""
    assert_faults(api.request("POST", "/events", body, {"Content-Type": CLOUDEVENTS}), "")


def test_precondition_applies_to_cloudevents(api: Api) -> None:
    """If-None-Match knows the ETag of both representations, and If-Match is always refused."""
    sent = a_cloudevent()
    assert post_structured(api, sent, If_None_Match="*").status == 201
    for etag in ("*", *(get(api, sent["id"], Accept=accept).headers["etag"] for accept in ("*/*", CLOUDEVENT))):
        for mode in (post_structured, post_binary):
            assert_problem(mode(api, sent, If_None_Match=etag), 412, "event-exists")
    assert_problem(post_binary(api, a_cloudevent(), If_Match="*"), 412, "precondition-failed")


# Content negotiation

PLAIN = "application/json"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_accept_chooses_the_representation(api: Api, method: str) -> None:
    """A caller who asks for a CloudEvent gets it. All other callers get plain JSON. No caller gets 406."""
    event = an_event()
    post(api, event)
    for accept, media_type in ACCEPTS:
        response = get(api, event["id"], method, Accept=accept)
        assert (response.status, response.headers["content-type"]) == (200, media_type), accept
        assert response.headers["vary"] == "Authorization, Accept"
        if method == "GET":
            assert ("specversion" in response.json) == (media_type == CLOUDEVENT)


def test_each_representation_has_its_etag(api: Api) -> None:
    """A strong ETag names bytes, so a cached CloudEvent is never revalidated as plain JSON (RFC 9110, 8.8.3)."""
    sent = a_cloudevent()
    etag = post_structured(api, sent).headers["etag"]
    plain, cloudevent = get(api, sent["id"]), get(api, sent["id"], Accept=CLOUDEVENT)
    assert (plain.headers["etag"], cloudevent.headers["etag"]) == (etag, f'{etag[:-1]}-cloudevent"')
    for accept, own, other in ((PLAIN, plain, cloudevent), (CLOUDEVENT, cloudevent, plain)):
        not_modified = get(api, sent["id"], Accept=accept, If_None_Match=f'"x", W/{own.headers["etag"]}')
        assert (not_modified.status, not_modified.body) == (304, b"")
        assert not_modified.headers["etag"] == own.headers["etag"]
        assert not_modified.headers["vary"] == "Authorization, Accept"
        again = get(api, sent["id"], Accept=accept, If_None_Match=other.headers["etag"])
        assert (again.status, again.body) == (200, own.body)
        assert get(api, sent["id"], Accept=accept, If_Match=own.headers["etag"]).status == 200
        assert get(api, sent["id"], Accept=accept, If_Match=other.headers["etag"]).status == 412


def test_response_to_a_post_is_plain_json(api: Api) -> None:
    """POST returns the event with created_at, which no CloudEvent has. Accept does not matter."""
    sent = a_cloudevent()
    for status in (201, 200):
        response = post_structured(api, sent, Accept=CLOUDEVENT)
        assert (response.status, response.headers["content-type"]) == (status, PLAIN)
        assert "created_at" in response.json
