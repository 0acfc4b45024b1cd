"""Weights from the model hub: fetched only where that was asked for, and pinned to a commit.

The hub's client keeps them in its usual cache. Which commit of a repository is used stands in the user's
cache folder from the first use on, so that what the hub changes later does not change a collection.
"""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ExtraMissing, WeightsMissing
from lookalike.shared_json import add_entries, read_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMIT = re.compile("[0-9a-f]{40}")

PINNED = {
    # modules.json of that commit, with 0_CLIPModel, is among the hub's pages.
    "sentence-transformers/clip-ViT-B-32": "b2c307ab21d764ba9172880b9dc9e42313287931",
    # The hub's page of that tree lists 1_Pooling, 2_Dense, config.json, pytorch_model.bin, tokenizer.json.
    "sentence-transformers/clip-ViT-B-32-multilingual-v1": "f2a4cb86c8dd60553196a25e547e388e8d53fa07",
}
"""Commits of repositories that a page of the hub documents; others are pinned to what is found first."""


class Hub:
    """The source of one model's weights: the hub, its cache on this machine, or a folder."""

    def __init__(self, model: str, cache: Path, weights: Path | None, *, download: bool) -> None:
        """Say where to look.

        Args:
            model: the embedder's name, for errors.
            cache: the user's cache folder.
            weights: a folder with the files that the repository has, or with such folders; then the hub and
                its cache have no part.
            download: whether what is missing may be fetched.
        """
        self._model = model
        self._cache = cache
        self._weights = weights
        self._download = download

    def folder(self, repository: str, files: Sequence[str], weights: Sequence[str]) -> Path:
        """Return a folder with the files of a repository.

        Args:
            repository: owner/name.
            files: patterns of small files to have.
            weights: patterns of weight files, the best first; of these, those that match the first pattern
                with a match are fetched, and one has to be there.

        Raises:
            ExtraMissing: the hub's client is not installed.
            WeightsMissing: the files are not here and may not, or cannot, be fetched.
        """
        if self._weights is not None:
            return self._in_folder(self._weights, repository, weights)
        found = self.here(repository)
        if found is not None and _has(found, weights):
            return found
        if not self._download:
            raise self._missing(
                repository,
                "they are not here, and only `index`, `export-model` and `compare --finetune` fetch them",
            )
        return self._fetch(repository, files, weights)

    def _in_folder(self, folder: Path, repository: str, weights: Sequence[str]) -> Path:
        """Look for a repository in a folder: its own, one above it, or a cache of the hub's client."""
        own = repository.rpartition("/")[2]
        snapshots = sorted((folder / f"models--{repository.replace('/', '--')}" / "snapshots").glob("*"))
        for candidate in (folder / repository, folder / own, *snapshots, folder):
            if _has(candidate, weights):
                return candidate
        raise WeightsMissing(
            self._model,
            f"{folder} has none of {', '.join(weights)}, nor a folder {repository} or {own} with them",
        )

    def here(self, repository: str) -> Path | None:
        """Return the folder of the commit that is kept to, or of any that is in the hub's cache; or None."""
        client = _client()
        for revision in (self._commit(repository), PINNED.get(repository), "main"):
            if revision is None:
                continue
            try:
                found = client.snapshot_download(repository, revision=revision, local_files_only=True)
            except client.errors.LocalEntryNotFoundError:
                continue
            self._keep(repository, Path(found).name)
            return Path(found)
        return None

    def _fetch(self, repository: str, files: Sequence[str], weights: Sequence[str]) -> Path:
        client = _client()
        revision = self._commit(repository) or PINNED.get(repository)
        wanted: str | None = None
        folder = ""
        try:
            info = client.HfApi().model_info(repository, revision=revision)
            names = [sibling.rfilename for sibling in info.siblings or ()]
            wanted = next((p for p in weights if any(fnmatch(name, p) for name in names)), None)
            if wanted is not None:
                folder = client.snapshot_download(
                    repository, revision=info.sha, allow_patterns=[*files, wanted]
                )
        except client.errors.OfflineModeIsEnabled as error:
            raise self._missing(repository, "HF_HUB_OFFLINE forbids to fetch them") from error
        except client.errors.GatedRepoError as error:
            raise self._missing(
                repository, "the hub asks for consent to a licence; give it there, then `hf auth login`"
            ) from error
        except client.errors.RepositoryNotFoundError as error:
            raise self._missing(repository, f"the hub has no public {repository}") from error
        except WeightsMissing:
            raise
        except Exception as error:
            raise self._missing(repository, f"the hub cannot be reached: {_first_line(error)}") from error
        if wanted is None:
            raise self._missing(repository, f"the hub's {repository} has none of {', '.join(weights)}")
        self._keep(repository, Path(folder).name)
        return Path(folder)

    def _missing(self, repository: str, reason: str) -> WeightsMissing:
        revision = self._commit(repository) or PINNED.get(repository)
        pinned = f" --revision {revision}" if revision else ""
        return WeightsMissing(
            self._model,
            f"{reason}. On a machine with a network: `hf download {repository}{pinned} --local-dir DIR`, "
            f"copy DIR here and use `--weights DIR`; or `lookalike export-model {self._model} DIR`, then "
            f"`--model onnx:DIR`, which needs no torch. efficientnet-lite0 works without any of this",
        )

    @property
    def _pins(self) -> Path:
        return self._cache / "models" / "commits.json"

    def _commit(self, repository: str) -> str | None:
        found = read_entries(self._pins).get(repository)
        return found if isinstance(found, str) and _COMMIT.fullmatch(found) else None

    def _keep(self, repository: str, commit: str) -> None:
        """Remember which commit is used; where the cache cannot be written to, the hub's own does."""
        if _COMMIT.fullmatch(commit) is None or self._commit(repository) == commit:
            return
        add_entries(self._pins, {repository: commit})


def is_here(repository: str, cache: Path) -> bool:
    """Tell whether a repository is in the hub's cache on this machine; asks no network."""
    try:
        return Hub("", cache, None, download=False).here(repository) is not None
    except ExtraMissing:
        return False


def _client() -> Any:
    """Return the client, a module."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ExtraMissing("fetching a model from the hub", "torch") from error
    return huggingface_hub


def _has(folder: Path, patterns: Sequence[str]) -> bool:
    return folder.is_dir() and any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
