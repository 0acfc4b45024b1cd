"""Elasticsearch's calls of trained models.

Source: https://www.elastic.co/guide/en/elasticsearch/reference/8.19/infer-trained-model.html, .../8.0/
infer-trained-model-deployment.html, .../8.19/get-trained-models.html and
.../8.19/get-trained-models-stats.html.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from lookalike.schemas.values import RequestModel, ResponseModel

_DOCUMENT = {"text_field": "a red car"}


class TextEmbeddingConfig(RequestModel):
    """What a call may change of how texts are embedded."""

    results_field: str = Field("predicted_value", min_length=1, description="The name of the vector.")
    tokenization: dict[str, Any] | None = Field(
        None, description="Not used: the model's own tokenizer cuts off what exceeds its context."
    )


class InferenceConfig(RequestModel):
    """What a call may change: models here embed, and do nothing else."""

    text_embedding: TextEmbeddingConfig = TextEmbeddingConfig()


class InferRequest(RequestModel):
    """Documents to embed; Elasticsearch takes a single one without the list, too."""

    docs: Annotated[list[dict[str, Any]], Field(min_length=1)] | dict[str, Any] = Field(
        description="Each with its text, or a picture as a data URL, in `text_field`; or with one field that "
        "is a string, whatever its name.",
        examples=[[_DOCUMENT]],
    )
    inference_config: InferenceConfig = InferenceConfig()

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The documents as a list."""
        return [self.docs] if isinstance(self.docs, dict) else self.docs


class InferResult(ResponseModel):
    """What became of one document; the vector is called as `results_field` says."""

    model_config = ConfigDict(extra="allow")

    predicted_value: list[float] = Field([], description="Of length 1.")


class InferResults(ResponseModel):
    """One result for each document, in order."""

    inference_results: list[InferResult]


class DeploymentStats(ResponseModel):
    """Whether a model answers."""

    model_id: str
    state: str = Field(examples=["started"])


class TrainedModelStats(ResponseModel):
    """What applications ask of a model before they use it."""

    model_id: str
    pipeline_count: int = 0
    deployment_stats: DeploymentStats | None = Field(
        None, description="Missing where the model cannot be opened."
    )


class TrainedModelsStats(ResponseModel):
    """Those of all models that were asked for."""

    count: int
    trained_model_stats: list[TrainedModelStats]


class InputFields(ResponseModel):
    """Where the text of a document stands."""

    field_names: list[str] = Field(["text_field"])


class TrainedModelConfig(ResponseModel):
    """A model, as far as an application can use it."""

    model_id: str
    model_type: str = "pytorch"
    input: InputFields = InputFields()
    inference_config: dict[str, dict[str, Any]] = Field({"text_embedding": {}})
    tags: list[str] = Field([])


class TrainedModelConfigs(ResponseModel):
    """Those that were asked for."""

    count: int
    trained_model_configs: list[TrainedModelConfig]


class ElasticCount(RequestModel):
    """What is counted."""

    query: dict[str, Any] | None = Field(
        None, description="Of Elasticsearch's query language; all by default."
    )


class ElasticSearch(ElasticCount):
    """A search, as far as every store answers it; an Elasticsearch server takes more."""

    knn: dict[str, Any] | list[dict[str, Any]] | None = Field(
        None, description="field, query_vector or query_vector_builder, k, num_candidates, filter."
    )
    size: int | None = None
    fields: list[str | dict[str, Any]] | None = None
    min_score: float | None = None
    track_total_hits: bool | int | None = None


class Cause(ResponseModel):
    """An exception, as Elasticsearch names it."""

    type: str = Field(examples=["resource_not_found_exception"])
    reason: str


class ElasticError(Cause):
    """The exception that a request ended with."""

    root_cause: list[Cause]


class ElasticProblem(ResponseModel):
    """An error as Elasticsearch has it."""

    error: ElasticError
    status: int
