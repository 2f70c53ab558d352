"""Foreign exceptions become one of the closed list of error_states, here and nowhere else.

Texts of foreign exceptions are never passed on: aiohttp's hold URLs. What cannot be named is `internal`, never a
guess: host names and addresses are checked before a request is made and whatever a camera sends arrives as a client
or operating system error, so a ValueError, UnicodeError or AssertionError that gets here is our mistake.
"""

from __future__ import annotations

import errno
import os
import ssl

import aiohttp

from cctv_images.acquire.fence import AddressRefused
from cctv_images.acquire.resolver import Unresolved
from cctv_images.errors import CameraError, ErrorState

_OUR_LIMITS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))
"""Local exhaustion: files, ports, memory. Never the camera's fault."""

_CERTIFICATE = {
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate chain is self-signed",
    20: "the certificate's issuer is not known here",
    21: "the certificate's issuer is not known here",
    9: "the certificate is not valid yet",
    62: "the certificate is for another name",
    64: "the certificate is for another address",
}
"""OpenSSL's X509_V_ERR numbers."""

_CUT = "the camera closed the connection during the handshake: its TLS may be too old"

_HANDSHAKE = {
    "WRONG_VERSION_NUMBER": "the port does not speak TLS, or a version that is too old",
    "HTTP_REQUEST": "the port does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the camera's TLS version is too old",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the camera's TLS version is too old",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "the camera's TLS is too old (legacy renegotiation)",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "no common cipher suite",
    "NO_CIPHERS_AVAILABLE": "no common cipher suite",
    "DH_KEY_TOO_SMALL": "the camera's key is too weak",
    "EE_KEY_TOO_SMALL": "the camera's key is too weak",
    "UNEXPECTED_EOF_WHILE_READING": _CUT,
}


def classify(error: Exception) -> CameraError:
    """Any exception of a request or of a body as the CameraError it means."""
    match error:
        case CameraError():
            return error
        case aiohttp.ServerFingerprintMismatch():
            return not_pinned(error.got)
        case aiohttp.ClientConnectorCertificateError():
            return connecting(error.certificate_error)
        case aiohttp.ClientConnectorError():
            return connecting(error.os_error, secure=bool(error.ssl) and error.ssl is not True)
        case aiohttp.ConnectionTimeoutError():
            return unanswered_connection()
        case TimeoutError():
            return CameraError(ErrorState.TIMEOUT, "the connection timed out")
        case ssl.SSLError():
            return CameraError(ErrorState.TLS, f"TLS broke off ({error.reason or type(error).__name__})")
        case aiohttp.ServerDisconnectedError():
            return CameraError(ErrorState.DISCONNECTED, "closed without an answer")
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return CameraError(ErrorState.BAD_RESPONSE, "the answer cannot be read as HTTP")
        case OSError() if error.errno in _OUR_LIMITS:
            return _exhausted(error)
        case OSError():
            return CameraError(ErrorState.DISCONNECTED, f"the connection broke: {_reason(error)}")
        case aiohttp.ClientConnectionError():
            return CameraError(ErrorState.DISCONNECTED, "the connection was closed")
        case _:
            return CameraError(ErrorState.INTERNAL, f"unexpected {type(error).__name__}")


def connecting(error: Exception, *, secure: bool = False) -> CameraError:
    """An exception of the time before a request could be sent. secure: TLS was being spoken."""
    match error:
        case Unresolved():
            return CameraError(ErrorState.DNS, str(error))
        case AddressRefused():
            return CameraError(ErrorState.UNREACHABLE, str(error))
        case ssl.SSLCertVerificationError():
            known = _CERTIFICATE.get(error.verify_code, f"the certificate is not accepted ({error.verify_message})")
            return CameraError(ErrorState.TLS, known)
        case ssl.CertificateError():
            return CameraError(ErrorState.TLS, "the certificate is not accepted")
        case ssl.SSLError():
            reason = error.reason or type(error).__name__
            return CameraError(ErrorState.TLS, _HANDSHAKE.get(reason, f"TLS handshake failed ({reason})"))
        case OSError() if error.errno in _OUR_LIMITS:
            return _exhausted(error)
        case TimeoutError():
            return unanswered_connection()
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError() if secure:
            return CameraError(ErrorState.TLS, _CUT)
        case OSError():
            return CameraError(ErrorState.UNREACHABLE, _reason(error))
        case _:
            return CameraError(ErrorState.INTERNAL, f"unexpected {type(error).__name__} while connecting")


def not_pinned(fingerprint: bytes) -> CameraError:
    """Says what a row must hold to trust the certificate that was shown: its SHA-256."""
    return CameraError(ErrorState.TLS, f"the certificate is not the pinned one, but pin:{fingerprint.hex()}")


def unanswered_connection() -> CameraError:
    return CameraError(ErrorState.CONNECT_TIMEOUT, "no answer to the connection")


def _exhausted(error: OSError) -> CameraError:
    return CameraError(ErrorState.INTERNAL, f"this machine's limit, not the camera: {_reason(error)}")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "connection closed"
