import schemathesis
from hypothesis import settings, HealthCheck
from schemathesis import Case
import pytest
from tests.service import *
@pytest.fixture
def api(server):
    return schemathesis.openapi.from_url(server.url+"/openapi.json").include(path_regex="/v1/(jobs|collections/.*/(evaluations|audits|maps|indexings))")
schema = schemathesis.pytest.from_fixture("api")
@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_api(case):
    r=case.call_and_validate()
