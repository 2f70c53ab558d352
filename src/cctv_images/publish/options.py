"""Settings that belong to the store alone: CCTV_S3_OPTIONS and the AWS_* names."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class S3Options(BaseModel):
    """What CCTV_S3_OPTIONS may say. An unknown name is a mistake and is named."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    addressing: Literal["auto", "path", "virtual"] = "auto"
    storage_class: str | None = Field(None, min_length=1)
    server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = Field(None, min_length=1)
    checksum: Literal["crc32", "sha1", "sha256"] | None = None
    """Sent with each object and expected back. Needed only where the ETag is not the MD5 of the body; with KMS it is
    CRC32 unasked."""

    @model_validator(mode="after")
    def _key_needs_kms(self) -> Self:
        if self.kms_key_id and not (self.server_side_encryption or "").startswith("aws:kms"):
            raise ValueError('kms_key_id needs "server_side_encryption": "aws:kms"')
        return self


class AwsSettings(BaseModel):
    """The AWS_* names, handed to the session explicitly. Without keys botocore's own chain applies."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
