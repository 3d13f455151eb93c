"""The peer's door: verify the signature, keep the event, commit, queue one task, answer."""

import base64
import hashlib
import hmac
import json
import os
import time

from flask import Flask, Response, request

from bench.peer.store import pool
from bench.peer.tasks import count_member

TOLERANCE_SECONDS = 300
KEY = base64.b64decode(os.environ["PEER_SECRET"].removeprefix("whsec_"))
COUNTED = ("member.joined", "member.left")
INSERT = """INSERT INTO events (id, kind, workspace, member, at, body) VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (id) DO NOTHING RETURNING id"""

app = Flask(__name__)


def genuine(event_id: str, stamp: str, signatures: str, body: bytes) -> bool:
    """True when one of the Standard Webhooks v1 signatures is ours and the stamp is within five minutes."""
    if not stamp.isdecimal() or abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        return False
    mac = hmac.new(KEY, f"{event_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(mac)
    return any(hmac.compare_digest(expected, item.encode()) for item in signatures.split(" "))


@app.post("/webhooks/standard/<connection>")
def webhook(connection: str) -> Response:
    """One event: 401 forged, else kept once and queued, 200."""
    body = request.get_data()
    event_id = request.headers.get("webhook-id", "")
    stamp = request.headers.get("webhook-timestamp", "")
    if not genuine(event_id, stamp, request.headers.get("webhook-signature", ""), body):
        return Response(status=401)
    event = json.loads(body)
    data = event["data"]
    with pool().connection() as connection_:
        row = (event_id, event["type"], data["workspace"], data["member"]["id"], event["timestamp"], body)
        kept = connection_.execute(INSERT, row).fetchone()
    if kept and event["type"] in COUNTED:
        count_member.delay(event_id)
    return Response(status=200)


@app.get("/healthz")
def healthz() -> Response:
    """Answers while the process lives."""
    return Response(status=200)
