"""ASGI middleware: body limits, request ids, access log, metrics."""
