"""Serving: a model behind an API and a page, with limits. Needs the extra `app`.

A request goes through these modules in this order: `guard` (token, bytes), `app` (addresses), `bodies` (contents of picture files),
`service` (decoding, within its limits), `batching` (with the pictures of other requests through the network), and back as JSON or as a
`refusal`.
"""
