"""The ONNX graph of a vision transformer's middle layer, cut out of a larger one and quantised."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnx.utils import Extractor
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata


def build_block_graph(model: bytes, image: str, block: str) -> bytes:
    """Cut out what leads from the input to a block, with weights of 8 bits in its matrix products.

    Weights have 7 bits in fact: with 8, processors without VNNI add up beyond 16 bits and saturate, and
    would get other numbers (ONNX Runtime's documentation, "Quantize ONNX models").

    Args:
        model: a serialised ONNX model.
        image: the name of its input.
        block: the name of the value that comes out.
    """
    whole = onnx.load_from_string(model)
    whole.graph.value_info.append(onnx.helper.make_tensor_value_info(block, onnx.TensorProto.FLOAT, None))
    cut = Extractor(whole).extract_model([image], [block])
    # What it would warn of, shapes that were not inferred, matters for other operators only.
    add_pre_process_metadata(cut)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "block.onnx"
        quantize_dynamic(
            cut,
            path,
            op_types_to_quantize=["MatMul"],
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return path.read_bytes()
