"""Explanations of classifications: the files of the voters are read, compared, and drawn."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from lookalike.schemas.explanation import Explanation
from lookalike.schemas.values import Unusable
from lookalike.server.routes.image_files import read_image
from lookalike.types import Record, Skipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lookalike.classification.classifier import Classified, Classifier
    from lookalike.classification.explanation import Compared, Explainer
    from lookalike.server.service import Service
    from lookalike.sources.uploads import Upload

MOST_EXPLAINED = 4
"""Pictures of a request that are explained: each takes a second or two."""


async def explain(
    service: Service, name: str, classifier: Classifier, answer: Classified, picture: Upload | Record
) -> Explanation | Unusable:
    """Explain the classification of a picture.

    Files are read one after the other, so that no more than one is in memory.

    Args:
        service: that may open them.
        name: of the collection.
        classifier: that answered.
        answer: the classification.
        picture: that was classified.
    """
    handle = service.database[name]

    def prepared() -> tuple[Explainer, Compared]:
        explainer = handle.explainer(classifier, max_pixels=service.settings.max_pixels)
        return explainer, explainer.compared(answer)

    explainer, compared = await service.store_pool.run(prepared)

    async def patches_of(upload: Upload) -> NDArray[np.float32] | str:
        (file,) = await service.embedding_queue.pictures([upload], explainer.embedder, explainer.cache)
        return file.reason if isinstance(file, Skipped) else file.features

    async def read(record: Record) -> Upload | Unusable:
        return await service.image_pool.run(lambda: read_image(service, name, record))

    upload = await read(picture) if isinstance(picture, Record) else picture
    if isinstance(upload, Unusable):
        return upload
    own = await patches_of(upload)
    if isinstance(own, str):
        return Unusable(name=upload.name, skipped=own)
    patches: dict[str, NDArray[np.float32] | str] = {}
    for record in compared.records.values():
        file = await read(record)
        patches[record.id] = file.skipped if isinstance(file, Unusable) else await patches_of(file)

    def judged() -> Explanation:
        found = explainer.judge(answer, compared, own, patches)
        png = handle.overlay(upload.data, found, max_pixels=service.settings.max_pixels)
        drawn = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        return Explanation.model_validate(found.line() | {"overlay": drawn})

    # It takes a second: nobody else is to wait for it.
    return await service.slow_image_pool.run(judged)
