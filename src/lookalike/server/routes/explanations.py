"""Explanations of classifications: the files of the voters are read, compared, and drawn."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from lookalike.anomaly.fitting import CHANGED
from lookalike.errors import UnusableImage
from lookalike.ingest.embedding import Upload
from lookalike.schemas.explanation import Explanation
from lookalike.schemas.values import Unusable
from lookalike.types import Skipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lookalike.classification.classifier import Classified, Classifier
    from lookalike.classification.explanation import Compared, Explainer
    from lookalike.server.service import Service
    from lookalike.types import Record

    Patches = dict[str, NDArray[np.float32] | str]

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

    async def patches_of(upload: Upload) -> tuple[str, NDArray[np.float32]] | str:
        (file,) = await service.embedding_queue.pictures([upload], explainer.embedder, explainer.cache)
        return file.reason if isinstance(file, Skipped) else (file.digest, file.features)

    async def patches_in(record: Record) -> NDArray[np.float32] | str:
        try:
            found = await patches_of(await _file(service, name, record))
        except UnusableImage as error:
            return error.reason
        if isinstance(found, str):
            return found
        return found[1] if found[0] == record.digest else CHANGED

    shown = picture.name if isinstance(picture, Upload) else service.roots.name(picture)
    try:
        upload = picture if isinstance(picture, Upload) else await _file(service, name, picture)
    except UnusableImage as error:
        return Unusable(name=shown, skipped=error.reason)
    own = await patches_of(upload)
    if isinstance(own, str):
        return Unusable(name=shown, skipped=own)
    patches: Patches = {each.id: await patches_in(each) for each in compared.records.values()}

    def judged() -> Explanation:
        found = explainer.judge(answer, compared, own[1], patches)
        png = handle.overlay(upload.data, found, max_pixels=service.settings.max_pixels)
        drawn = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        return Explanation.model_validate(found.line() | {"overlay": drawn})

    # It takes a second: nobody else is to wait for it.
    return await service.slow_image_pool.run(judged)


async def _file(service: Service, name: str, record: Record) -> Upload:
    """Read the file of an image of the collection.

    Raises:
        UnusableImage: it cannot be read.
    """
    data = await service.image_pool.run(lambda: service.roots.read(name, record))
    return Upload(service.roots.name(record), data)
