"""The OpenAPI document of the service."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from lookalike.schemas.anomaly import AnomalyQuery
from lookalike.schemas.classify import ClassifyQuery
from lookalike.schemas.elasticsearch import ElasticCount, ElasticSearch
from lookalike.schemas.search import SearchQuery

# They come as JSON or as a part of a multipart request, or are passed on; FastAPI does not see them.
_QUESTIONS = (SearchQuery, ClassifyQuery, AnomalyQuery, ElasticSearch, ElasticCount)
_PLACE = "#/components/schemas/{model}"


class DescribedApp(FastAPI):
    """An application whose OpenAPI document also has the schemas that `body_schema` refers to."""

    def openapi(self) -> dict[str, Any]:
        """Return the description (OpenAPI 3.1)."""
        made = self.openapi_schema
        if made is None:
            made = super().openapi()
            _, described = models_json_schema(
                [(question, "validation") for question in _QUESTIONS], ref_template=_PLACE
            )
            made["components"]["schemas"] = described["$defs"] | made["components"]["schemas"]
            made["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "From `lookalike key`."}
            }
            # Or none, where the service listens on loopback only.
            made["security"] = [{"key": []}, {}]
        return made
