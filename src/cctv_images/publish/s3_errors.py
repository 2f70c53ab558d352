"""What a store's refusal means, in sentences that say what to do."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from cctv_images.errors import StoreError, plain
from cctv_images.publish.s3_wire import Answer

WRONG_REGION = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "IncorrectEndpoint",
}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "RequestExpired"}
BUSY = {"SlowDown", "ServiceUnavailable", "Busy", "TooManyRequests", "RequestLimitExceeded", "Throttling"}
FULL = {"QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "XMinioStorageFull", "EntityTooLargeForQuota"}


def element(answer: Answer, name: str) -> str | None:
    """Text of an element of an error document. Stores without a Message or a document at all exist (Ceph)."""
    match = re.search(rb"<%s>([^<]{1,500})</%s>" % ((name.encode(),) * 2), answer.body)
    return match[1].decode("utf-8", "replace").strip() if match else None


def store_error(answer: Answer, *, bucket: str, region: str, now: float, keys: str) -> StoreError:
    """now: our epoch seconds. keys: where the credentials come from, as people know it."""
    code = element(answer, "Code") or ""
    status = answer.status
    if 300 <= status < 400 or code in WRONG_REGION:
        return _elsewhere(answer, code, bucket, region)
    if code == "RequestTimeTooSkewed":
        return StoreError("clock", _skew(answer, now), transient=False)
    if code == "InvalidAccessKeyId":
        return StoreError("keys", f"the store does not know the access key ({keys})", transient=False)
    if code == "SignatureDoesNotMatch":
        return StoreError("keys", f"the secret key does not belong to the access key ({keys})", transient=False)
    if code in EXPIRED:
        return StoreError(
            "expired_token",
            f"the session token has expired or is not valid ({keys}): renew it and reload",
            transient=False,
        )
    if code == "NoSuchBucket":
        return StoreError("no_bucket", f"there is no bucket {bucket}; it is not created for you", transient=False)
    if code == "NoSuchKey":
        return StoreError("missing", "there is no such object", transient=False)
    if status == 507 or code in FULL:
        return StoreError("full", f"the store has no room ({_said(answer, code)})")
    if status in (429, 503) or code in BUSY:
        return StoreError("busy", f"the store asks us to slow down ({_said(answer, code)})")
    if status >= 500:
        return StoreError("server", f"the store failed ({_said(answer, code)})")
    if status in (401, 403):
        return StoreError("denied", f"the credentials lack a right ({_said(answer, code)})", transient=False)
    # The connection was too slow or broke on its way: the only 4xx that a second try may cure.
    transient = code in ("RequestTimeout", "BadDigest", "IncompleteBody")
    return StoreError("refused", f"the store refused the request ({_said(answer, code)})", transient=transient)


def _said(answer: Answer, code: str) -> str:
    message = element(answer, "Message")
    return plain(" ".join(filter(None, (str(answer.status), code, f"“{message}”" if message else None))), 150)


def _elsewhere(answer: Answer, code: str, bucket: str, region: str) -> StoreError:
    right = answer.headers.get("x-amz-bucket-region") or element(answer, "Region")
    if code in WRONG_REGION or right:
        right = plain(right, 40) if right and right != region else None
        hint = f"it is in {right}: set AWS_REGION={right}" if right else "set AWS_REGION to the bucket's own region"
        return StoreError("region", f"bucket {bucket} is not in {region}; {hint}", transient=False)
    try:
        target = urlsplit(answer.headers.get("Location", "")).hostname
    except ValueError:
        target = None
    return StoreError(
        "redirected",
        f"the store answered {answer.status} and names {plain(target or 'no other host', 100)}; not followed: "
        "check AWS_ENDPOINT_URL_S3, and for a proxy or login page in between",
        transient=False,
    )


def _skew(answer: Answer, now: float) -> str:
    try:
        ahead = now - parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except ValueError:
        return "this machine's clock differs too much from the store's; set it (NTP)"
    size = f"{abs(ahead) / 60:.0f} minutes" if abs(ahead) < 7200 else f"{abs(ahead) / 3600:.1f} hours"
    return f"this machine's clock is {size} {'ahead of' if ahead > 0 else 'behind'} the store's; set it (NTP)"
