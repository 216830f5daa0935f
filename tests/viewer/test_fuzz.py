"""The OpenAPI document, fuzzed: whatever is sent, the answer is one that the document foresees."""

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.viewer.conftest import PATIENCE_S

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]


def test_answers_are_those_of_the_document(server, service):
    schema = schemathesis.openapi.from_url(f"{server.url}api/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 15

    for operation in operations:

        @settings(
            max_examples=8,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(case=operation.as_strategy())
        def answers_as_foreseen(case):
            case.call_and_validate(checks=CHECKS, timeout=PATIENCE_S)

        answers_as_foreseen()
    for entry in list(service.jobs.entries.values()):
        assert entry.error is None or "/" not in entry.error
