"""lookalike finds and classifies images by their lookalikes.

    import lookalike

    with lookalike.open("sqlite:///parts.db") as db:
        parts = db["parts"]
        parts.index("photographs")
        parts.search("new.jpg", k=5)

Each name is imported from its module when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lookalike.telemetry import turn_off
from lookalike.version import VERSION

if TYPE_CHECKING:
    from lookalike.active_learning.suggest import Suggestions
    from lookalike.anomaly.evaluation import AnomalyEvaluation
    from lookalike.anomaly.fitting import MemoryReport
    from lookalike.anomaly.scoring import Anomaly, AnomalyScorer
    from lookalike.audit.findings import Audit
    from lookalike.classification.classifier import Classified, Classifier
    from lookalike.classification.explanation import Explainer, Explanation
    from lookalike.classification.zero_shot import Named, ZeroShotClassifier
    from lookalike.collection import Collection
    from lookalike.comparison.comparison import Comparison
    from lookalike.database import CheckReport, Database, open  # noqa: A004
    from lookalike.drift.drift import Drift
    from lookalike.errors import (
        ClusterError,
        CollectionEmpty,
        CollectionExists,
        CollectionNotFound,
        DecodingStopped,
        EmbedderUnknown,
        ExtraMissing,
        FieldNotFound,
        FolderEmpty,
        ImageNotFound,
        InvalidArgument,
        LabelsInvalid,
        LookalikeError,
        MemoryTooSmall,
        ModelNotFound,
        NotFound,
        OutputFailed,
        PathNotFound,
        PluginFailed,
        QueryRefused,
        QueryStopped,
        RemovalUnconfirmed,
        SourceDenied,
        SourceError,
        SourceUnreachable,
        SpaceMismatch,
        StoreBusy,
        StoreCorrupt,
        StoreDenied,
        StoreError,
        StoreForeign,
        StoreFull,
        StoreNewer,
        StoreOlder,
        StoreReadOnly,
        StoreUnreachable,
        TableGone,
        TableNotFound,
        TargetDiffers,
        Unanswerable,
        UnusableImage,
        VectorIncomplete,
        VectorNotFound,
        WeightsInvalid,
        WeightsMissing,
    )
    from lookalike.evaluation.evaluation import Evaluation
    from lookalike.handles.anomaly import AnomalyDetection
    from lookalike.handles.corrections import Corrections
    from lookalike.handles.records import Records
    from lookalike.handles.vectors import NamedVectors
    from lookalike.ingest.index_report import IndexReport
    from lookalike.metric_learning.fitted import Fitting
    from lookalike.metric_learning.fitting import FitReport
    from lookalike.search.hits import Hit, SearchResult
    from lookalike.search.neighbours import PlainVector
    from lookalike.search.query import Image, RecordId, Terms, Text, Vector
    from lookalike.stores.attached.attaching import Attached
    from lookalike.stores.attached.description import Attachment
    from lookalike.transfer.copy import CopyReport
    from lookalike.transfer.exports.export import ExportReport
    from lookalike.transfer.imports.vector_import import ImportReport
    from lookalike.transfer.parity import Parity
    from lookalike.types import (
        Approximation,
        CollectionInfo,
        Neighbour,
        Prediction,
        Record,
        Remark,
        Skipped,
        Space,
        Table,
        VectorInfo,
        VectorStatus,
    )

# Here, because whatever is imported of lookalike, in whichever process, this comes first.
turn_off()

__version__ = VERSION

__all__ = [
    "Anomaly",
    "AnomalyDetection",
    "AnomalyEvaluation",
    "AnomalyScorer",
    "Approximation",
    "Attached",
    "Attachment",
    "Audit",
    "CheckReport",
    "Classified",
    "Classifier",
    "ClusterError",
    "Collection",
    "CollectionEmpty",
    "CollectionExists",
    "CollectionInfo",
    "CollectionNotFound",
    "Comparison",
    "CopyReport",
    "Corrections",
    "Database",
    "DecodingStopped",
    "Drift",
    "EmbedderUnknown",
    "Evaluation",
    "Explainer",
    "Explanation",
    "ExportReport",
    "ExtraMissing",
    "FieldNotFound",
    "FitReport",
    "Fitting",
    "FolderEmpty",
    "Hit",
    "Image",
    "ImageNotFound",
    "ImportReport",
    "IndexReport",
    "InvalidArgument",
    "LabelsInvalid",
    "LookalikeError",
    "MemoryReport",
    "MemoryTooSmall",
    "ModelNotFound",
    "Named",
    "NamedVectors",
    "Neighbour",
    "NotFound",
    "OutputFailed",
    "Parity",
    "PathNotFound",
    "PlainVector",
    "PluginFailed",
    "Prediction",
    "QueryRefused",
    "QueryStopped",
    "Record",
    "RecordId",
    "Records",
    "Remark",
    "RemovalUnconfirmed",
    "SearchResult",
    "Skipped",
    "SourceDenied",
    "SourceError",
    "SourceUnreachable",
    "Space",
    "SpaceMismatch",
    "StoreBusy",
    "StoreCorrupt",
    "StoreDenied",
    "StoreError",
    "StoreForeign",
    "StoreFull",
    "StoreNewer",
    "StoreOlder",
    "StoreReadOnly",
    "StoreUnreachable",
    "Suggestions",
    "Table",
    "TableGone",
    "TableNotFound",
    "TargetDiffers",
    "Terms",
    "Text",
    "Unanswerable",
    "UnusableImage",
    "Vector",
    "VectorIncomplete",
    "VectorInfo",
    "VectorNotFound",
    "VectorStatus",
    "WeightsInvalid",
    "WeightsMissing",
    "ZeroShotClassifier",
    "open",
]

# The modules of those that are no errors.
_HOMES = {
    "Attached": "stores.attached.attaching",
    "Attachment": "stores.attached.description",
    "Suggestions": "active_learning.suggest",
    "Anomaly": "anomaly.scoring",
    "AnomalyEvaluation": "anomaly.evaluation",
    "AnomalyScorer": "anomaly.scoring",
    "MemoryReport": "anomaly.fitting",
    "Audit": "audit.findings",
    "Classified": "classification.classifier",
    "Classifier": "classification.classifier",
    "Explainer": "classification.explanation",
    "Explanation": "classification.explanation",
    "Named": "classification.zero_shot",
    "ZeroShotClassifier": "classification.zero_shot",
    "Collection": "collection",
    "Comparison": "comparison.comparison",
    "CheckReport": "database",
    "Database": "database",
    "Drift": "drift.drift",
    "open": "database",
    "Evaluation": "evaluation.evaluation",
    "AnomalyDetection": "handles.anomaly",
    "Corrections": "handles.corrections",
    "Records": "handles.records",
    "NamedVectors": "handles.vectors",
    "IndexReport": "ingest.index_report",
    "Fitting": "metric_learning.fitted",
    "FitReport": "metric_learning.fitting",
    "Hit": "search.hits",
    "SearchResult": "search.hits",
    "PlainVector": "search.neighbours",
    "Image": "search.query",
    "Terms": "search.query",
    "RecordId": "search.query",
    "Text": "search.query",
    "Vector": "search.query",
    "CopyReport": "transfer.copy",
    "ExportReport": "transfer.exports.export",
    "ImportReport": "transfer.imports.vector_import",
    "Parity": "transfer.parity",
    "Approximation": "types",
    "CollectionInfo": "types",
    "Neighbour": "types",
    "Prediction": "types",
    "Record": "types",
    "Remark": "types",
    "Skipped": "types",
    "Space": "types",
    "Table": "types",
    "VectorInfo": "types",
    "VectorStatus": "types",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"lookalike.{_HOMES.get(name, 'errors')}")
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
