"""A local server that speaks S3's protocol, on loopback, with what a person would set to use it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import s3fs
from moto.server import ThreadedMotoServer

KEY, SECRET = "AKIALOCALTESTS", "a-secret-that-no-log-may-have"


@dataclass(frozen=True)
class S3:
    """A running server."""

    endpoint: str

    @property
    def env(self) -> dict[str, str]:
        """What makes the usual tools talk to it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def new_bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        client = self.client()
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Everything in a bucket."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        contents = {}
        for key in keys:
            with client.get_object(Bucket=bucket, Key=key)["Body"] as body:
                contents[key] = body.read()
        client.close()
        return contents


@contextmanager
def s3_server() -> Iterator[S3]:
    """Run one, for as long as it is needed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3(f"http://{host}:{port}")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()
