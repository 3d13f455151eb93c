"""The bare Flask route the receiver is compared with: it reads the body and answers 200."""

from flask import Flask, Response, request

app = Flask(__name__)


@app.post("/webhooks/standard/<connection>")
def webhook(connection: str) -> Response:
    """Reads and answers; keeps nothing."""
    request.get_data()
    return Response(status=200)


@app.get("/healthz")
def healthz() -> Response:
    """Answers while the process lives."""
    return Response(status=200)
