"""What schemathesis has to be told about lines of JSON: loaded by `openapi`."""

import json

import schemathesis

LINES = "application/x-ndjson"


@schemathesis.serializer(LINES)
def lines(ctx, value):
    """One line for each element; what is no list is one line."""
    steps = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(step) for step in steps).encode()


@schemathesis.deserializer(LINES)
def last_line(ctx, response):
    """The last object, which is the result."""
    return json.loads(response.content.splitlines()[-1])
