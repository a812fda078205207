"""What the three services share: a health check, failures of the service behind, start and stop."""

import os
import signal
import sys

import requests
from flask import Flask


def port(service):
    return int(os.environ[f"SHOP_{service.upper()}_PORT"])


def url(service):
    return f"http://127.0.0.1:{port(service)}"


def new_app(service):
    app = Flask(service)

    @app.get("/healthz")  # makes no trace: see OTEL_PYTHON_FLASK_EXCLUDED_URLS in run.sh
    def healthz():
        return {"service": service}

    @app.errorhandler(requests.RequestException)
    def service_behind_failed(error):
        """Answers 502 when the service behind failed; what it answered below 500 is passed on."""
        status = 502 if error.response is None else error.response.status_code
        return {"error": str(error)}, status if status < 500 else 502

    return app


def serve(app):
    # Python dies of a plain SIGTERM without its exit handlers, and the SDK sends its last spans in one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(host="127.0.0.1", port=port(app.name), threaded=True)
