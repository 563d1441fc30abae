"""The Keras model as ONNX, with a graph around it that takes a picture of any size."""

from pathlib import Path

import keras
import onnx
import tf2onnx

from happysad.export.inference import inference

OPSET = 18  # the first whose Resize can antialias

# Around the graph of the model, whose tensors get the prefix model_. Resize matches Pillow's BILINEAR to within one
# level of 255: exclude_outside renormalises at the border, which is up to 17 levels off without it.
ANY_SIZE = """
<ir_version: {ir_version}, opset_import: ["": {opset}]>
any_size (uint8[height, width, 3] picture) => (float[2] scores)
<int64[1] first = {{0}}, int64[4] sizes = {{1, {size}, {size}, 3}}>
{{
    batch_of_one = Unsqueeze(picture, first)
    model_pictures = Resize<
        mode = "linear", antialias = 1, exclude_outside = 1, coordinate_transformation_mode = "half_pixel"
    >(batch_of_one, , , sizes)
    scores = Squeeze(model_scores, first)
}}
"""


def write(model: keras.Model, metadata: dict[str, str], out: Path) -> None:
    """Write ``out``/model.onnx with ``metadata``: uint8 ``picture`` (height, width, 3) -> float32 ``scores`` (2,)."""
    serve = inference(model)
    converted, _ = tf2onnx.convert.from_function(serve, serve.input_signature, opset=OPSET)
    name_tensors(converted.graph)
    text = ANY_SIZE.format(ir_version=converted.ir_version, opset=OPSET, size=model.input_shape[1])
    proto = onnx.parser.parse_model(text)
    *before, after = proto.graph.node
    inner = onnx.compose.add_prefix(converted, "model_").graph
    del proto.graph.node[:]
    proto.graph.node.extend([*before, *inner.node, after])
    proto.graph.initializer.extend(inner.initializer)
    preprocessing = metadata["preprocessing"].replace("Pillow's BILINEAR", "the model")
    onnx.helper.set_model_props(proto, metadata | {"preprocessing": preprocessing})
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, out / "model.onnx")


def name_tensors(graph: onnx.GraphProto) -> None:
    """Name tensors after their node: tf2onnx numbers them in the order of a set, which varies by process."""
    names = {tensor.name: tensor.name for tensor in (*graph.input, *graph.output)}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for i, name in enumerate(node.input):
            names.setdefault(name, f"{node.name}_input_{i}")
        for i, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_output_{i}")
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    graph.initializer.sort(key=lambda tensor: tensor.name)
    del graph.value_info[:]  # shapes under the old names
