"""The catalogue of well-known models of each family, from their documents.

Dimensions, parameters and, for timm, licences are those of the libraries' own tables: timm 1.0.31
(`get_pretrained_cfg`, `create_model`) and open_clip 3.3.0. The licences of CLIP are those of its authors:
OpenAI's repository (github.com/openai/CLIP, MIT), which says nothing of the weights in particular; the cards
of laion's models say MIT, that of the multilingual text side Apache-2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lookalike.embedders.protocol import Card
from lookalike.embedders.torch.hub import PINNED, is_here

if TYPE_CHECKING:
    from pathlib import Path


class _Known(NamedTuple):
    name: str
    dimension: int
    parameters: int
    licence: str
    repositories: tuple[str, ...]
    """Those of the image side and, where it is another, of the text side."""
    summary: str
    texts: bool = False


_MIT_CLIP = "MIT (openai/CLIP; nothing said of the weights)"

_KNOWN = (
    _Known(
        "timm:densenet121.tv_in1k", 1024, 6_953_856, "Apache-2.0", ("timm/densenet121.tv_in1k",),
        "DenseNet-121 trained on ImageNet",
    ),
    _Known(
        "timm:resnet50.a1_in1k", 2048, 23_508_032, "Apache-2.0", ("timm/resnet50.a1_in1k",),
        "ResNet-50 trained on ImageNet",
    ),
    _Known(
        "timm:convnext_tiny.fb_in22k_ft_in1k", 768, 27_820_128, "Apache-2.0",
        ("timm/convnext_tiny.fb_in22k_ft_in1k",), "ConvNeXt-T trained on ImageNet-22k and ImageNet",
    ),
    _Known(
        "timm:vit_small_patch14_dinov2.lvd142m", 384, 22_056_192, "Apache-2.0",
        ("timm/vit_small_patch14_dinov2.lvd142m",), "DINOv2 ViT-S/14: trained without labels; slow on CPUs",
    ),
    _Known(
        "timm:vit_base_patch14_dinov2.lvd142m", 768, 86_579_712, "Apache-2.0",
        ("timm/vit_base_patch14_dinov2.lvd142m",), "DINOv2 ViT-B/14: trained without labels; for a GPU",
    ),
    _Known(
        "open_clip:ViT-B-32/openai", 512, 151_277_313, _MIT_CLIP, ("timm/vit_base_patch32_clip_224.openai",),
        "CLIP ViT-B/32: images and English texts", texts=True,
    ),
    _Known(
        "open_clip:ViT-B-32/laion2b_s34b_b79k", 512, 151_277_313, "MIT",
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K",), "CLIP ViT-B/32 of LAION-2B: images and English texts",
        texts=True,
    ),
    _Known(
        "sentence-transformers:clip-ViT-B-32", 512, 151_277_313, _MIT_CLIP,
        ("sentence-transformers/clip-ViT-B-32",), "CLIP ViT-B/32: images and English texts", texts=True,
    ),
    _Known(
        "sentence-transformers:clip-ViT-B-32+clip-ViT-B-32-multilingual-v1", 512, 151_277_313,
        f"images {_MIT_CLIP}, texts Apache-2.0",
        ("sentence-transformers/clip-ViT-B-32", "sentence-transformers/clip-ViT-B-32-multilingual-v1"),
        "CLIP ViT-B/32 with texts in 50 languages, Korean among them", texts=True,
    ),
)  # fmt: skip


def catalogue(cache: Path) -> list[Card]:
    """Return the cards of well-known models; whether their weights are here is found out without a network.

    Args:
        cache: the user's cache folder.
    """
    return [
        Card(
            known.name,
            known.dimension,
            known.licence,
            known.parameters,
            known.summary,
            f"hub: {', '.join(known.repositories)}",
            revision=" and ".join(PINNED.get(each, "not pinned")[:12] for each in known.repositories),
            capabilities=("images", "texts") if known.texts else ("images",),
            here=all(is_here(each, cache) for each in known.repositories),
        )
        for known in _KNOWN
    ]
