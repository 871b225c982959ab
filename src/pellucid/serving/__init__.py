"""Serving: an HTTP API and a web page for a model, with limits. Requires the extra `app`.

A request passes these modules in order: `guard` (token, size), `app` (routes), `bodies` (contents of picture files), `service` (decoding,
within limits), `batching` (one batch with the pictures of other requests); the response is JSON, or a `refusal`.
"""
