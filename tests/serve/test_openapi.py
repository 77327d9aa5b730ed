"""The OpenAPI document against the server: nothing fails, and every answer is one that it names."""

import warnings
from typing import Any

import pytest

from tests.support.served import Server

pytestmark = pytest.mark.enable_socket
EXAMPLES = 40


@pytest.fixture(scope="module")
def document(linear: Server) -> Any:
    with linear.client() as client:
        return client.get("/openapi.json").json()


def test_every_path_is_documented_and_answers(linear: Server, document: Any) -> None:
    with linear.client() as client:
        for path, methods in document["paths"].items():
            for method in methods:
                status = client.request(method, path).status_code
                assert str(status) in methods[method]["responses"], (path, status)
            other = client.put(path)
            assert (other.status_code, "allow" in other.headers) == (405, True)


def test_the_page_of_the_api_names_every_path_and_message(linear: Server, document: Any) -> None:
    with linear.client() as client:
        page = client.get("/docs").text
    assert all(path in page for path in document["paths"])
    assert all(f'id="{name}"' in page for name in document["components"]["schemas"])
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.slow
def test_schemathesis_finds_nothing(linear: Server, document: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import requests
        import schemathesis
        from hypothesis import HealthCheck, given, settings
        from schemathesis.checks import load_all_checks
        from schemathesis.specs.openapi import checks

        load_all_checks()
        schema = schemathesis.openapi.from_dict(document)
    wanted = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
        schemathesis.checks.not_a_server_error,
    ]
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def holds(case: Any) -> None:
            case.call_and_validate(base_url=linear.url, session=session, checks=wanted, timeout=60)

        with requests.Session() as session:
            holds()
