"""Our signature is the one that AWS and botocore compute."""

from __future__ import annotations

import calendar
import hashlib
import time

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from cctv_images.publish.signature import UNSIGNED_PAYLOAD, signed


def test_it_is_the_one_in_amazons_example() -> None:
    """Amazon S3 API reference, "Signature Calculations for the Authorization Header", example PUT Object."""
    keys = ReadOnlyCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
    headers = {
        "Host": "examplebucket.s3.amazonaws.com",
        "Date": "Fri, 24 May 2013 00:00:00 GMT",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    payload = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
    moment = calendar.timegm((2013, 5, 24, 0, 0, 0))
    send = signed("PUT", "/test%24file.text", headers, payload, keys, "us-east-1", moment)
    assert send["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


words = st.text("abcXYZ019 -_.~/=+%:é", min_size=1, max_size=20).filter(str.strip)
path_parts = st.text("abcXYZ019-_.~%", min_size=1, max_size=10)


@given(
    key=st.lists(path_parts, min_size=1, max_size=4).map("/".join),
    headers=st.dictionaries(st.sampled_from(["Expires", "x-amz-meta-kind", "Cache-Control", "Content-Type"]), words),
    secrets=st.tuples(words, words, st.none() | words),
    body=st.binary(max_size=50),
    tls=st.booleans(),
)
def test_it_is_botocores_for_whatever_is_put(
    key: str, headers: dict[str, str], secrets: tuple[str, str, str | None], body: bytes, tls: bool
) -> None:
    keys = ReadOnlyCredentials(*secrets)
    headers = {**headers, "Host": "bucket.example:8333"}
    theirs = AWSRequest("PUT", f"http{'s' * tls}://bucket.example:8333/{key}", dict(headers), body)
    signer = S3SigV4Auth(keys, "s3", "eu-west-1")
    signer.payload = lambda request: UNSIGNED_PAYLOAD if tls else hashlib.sha256(body).hexdigest()
    signer.add_auth(theirs)
    moment = calendar.timegm(time.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    payload = theirs.headers["X-Amz-Content-SHA256"]
    ours = signed("PUT", f"/{key}", headers, payload, keys, "eu-west-1", moment)
    assert ours == dict(theirs.headers.items())
