"""The Keras model as ONNX: one graph for batches of resized pictures, one for a single picture of any size."""

from pathlib import Path

import keras
import onnx
import tf2onnx

from happysad.export.serving import inference

OPSET = 18  # the first whose Resize can antialias

# Wraps the batch graph, whose tensors get the prefix batch_. Resize matches Pillow's BILINEAR to within one
# level of 255: exclude_outside renormalises at the border, which is up to 17 levels off without it.
ANY_SIZE = """
<ir_version: {ir_version}, opset_import: ["": {opset}]>
any_size (uint8[height, width, 3] picture) => (float[2] scores)
<int64[1] first = {{0}}, int64[4] sizes = {{1, {size}, {size}, 3}}>
{{
    batch_of_one = Unsqueeze(picture, first)
    batch_pictures = Resize<
        mode = "linear", antialias = 1, exclude_outside = 1, coordinate_transformation_mode = "half_pixel"
    >(batch_of_one, , , sizes)
    scores = Squeeze(batch_scores, first)
}}
"""


def write(model: keras.Model, metadata: dict[str, str], out: Path) -> None:
    """Write ``out``/model_batch.onnx and ``out``/model.onnx, each with ``metadata``."""
    size = model.input_shape[1]
    batch_graph = batches(model)
    save(batch_graph, metadata, out / "model_batch.onnx")
    preprocessing = metadata["preprocessing"].replace("Pillow's BILINEAR", "the model")
    save(any_size(batch_graph, size), metadata | {"preprocessing": preprocessing}, out / "model.onnx")


def batches(model: keras.Model) -> onnx.ModelProto:
    """uint8 ``pictures`` (batch, size, size, 3) -> float32 ``scores`` (batch, 2)."""
    serve = inference(model, None)
    proto, _ = tf2onnx.convert.from_function(serve, serve.input_signature, opset=OPSET)
    name_tensors(proto.graph)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    return proto


def any_size(batch_graph: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """uint8 ``picture`` (height, width, 3) of any size -> float32 ``scores`` (2,)."""
    text = ANY_SIZE.format(ir_version=batch_graph.ir_version, opset=OPSET, size=size)
    proto = onnx.parser.parse_model(text)
    *before, after = proto.graph.node
    inner = onnx.compose.add_prefix(batch_graph, "batch_").graph
    del proto.graph.node[:]
    proto.graph.node.extend([*before, *inner.node, after])
    proto.graph.initializer.extend(inner.initializer)
    return proto


def save(proto: onnx.ModelProto, metadata: dict[str, str], path: Path) -> None:
    onnx.helper.set_model_props(proto, metadata)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


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
