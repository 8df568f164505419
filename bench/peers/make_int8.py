"""An int8 model for ONNX Runtime from CASE/yolov3.onnx: QuantizeLinear and DequantizeLinear around its layers.

    make_int8.py CASE all       writes CASE/all_maps.onnx, a copy whose every map is an output (for ort_peer.js ranges)
    make_int8.py CASE quantise  writes CASE/yolov3_int8.onnx from CASE/ranges.json

Maps are unsigned with one scale and zero point each, kernels signed with a scale a filter, as ONNX Runtime's own tool
does.
"""
import json
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QUANTISED = ('Conv', 'LeakyRelu', 'Add', 'Concat', 'Resize')
case, mode = sys.argv[1], sys.argv[2]
model = onnx.load(case + '/yolov3.onnx')
graph = model.graph


def all_maps():
    have = {o.name for o in graph.output}
    for node in graph.node:
        if node.op_type in QUANTISED:
            graph.output.extend(helper.make_tensor_value_info(o, TensorProto.FLOAT, None)
                                for o in node.output if o not in have)
    onnx.save(model, case + '/all_maps.onnx')


class Quantiser:
    def __init__(self, ranges):
        self.ranges, self.nodes, self.constants, self.done, self.replaced = ranges, [], [], {}, set()
        self.values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        for node in graph.node:
            if node.op_type == 'Identity' and node.input[0] in self.values:
                self.values[node.output[0]] = self.values[node.input[0]]

    def constant(self, value, name):
        self.constants.append(numpy_helper.from_array(value, name))

    def scale_and_zero(self, name):
        low, high = self.ranges[name]
        low, high = min(low, 0), max(high, 0)
        scale = max((high - low) / 255, 1e-6)
        return np.float32(scale), np.uint8(max(0, min(255, round(-low / scale))))

    def map(self, name):
        """The dequantised name of a map."""
        if name not in self.done:
            scale, zero = self.scale_and_zero(name)
            self.constant(scale, name + '_s')
            self.constant(zero, name + '_z')
            self.nodes.append(helper.make_node('QuantizeLinear', [name, name + '_s', name + '_z'], [name + '_q']))
            self.nodes.append(helper.make_node('DequantizeLinear', [name + '_q', name + '_s', name + '_z'],
                                               [name + '_dq']))
            self.done[name] = name + '_dq'
        return self.done[name]

    def filters(self, name, values, scales):
        """The dequantised name of a constant with a scale a filter."""
        for value, end in ((values, '_q'), (scales, '_s'), (np.zeros(len(scales), values.dtype), '_z')):
            self.constant(value, name + end)
        self.nodes.append(helper.make_node('DequantizeLinear', [name + '_q', name + '_s', name + '_z'], [name + '_dq'],
                                           axis=0))
        self.replaced.add(name)
        return name + '_dq'

    def convolution(self, inputs):
        kernel = self.values[inputs[1]]
        scales = np.maximum(np.abs(kernel).reshape(len(kernel), -1).max(1) / 127, 1e-8).astype(np.float32)
        rounded = np.clip(np.round(kernel / scales[:, None, None, None]), -127, 127).astype(np.int8)
        out = [self.map(inputs[0]), self.filters(inputs[1], rounded, scales)]
        if len(inputs) > 2:
            steps = (scales * self.scale_and_zero(inputs[0])[0]).astype(np.float32)
            bias = np.clip(np.round(self.values[inputs[2]] / steps), -2**31 + 1, 2**31 - 1).astype(np.int32)
            out.append(self.filters(inputs[2], bias, steps))
        return out

    def run(self):
        for node in graph.node:
            if node.op_type == 'Identity' and node.input[0] in self.values:
                continue
            inputs = list(node.input)
            if node.op_type == 'Conv':
                inputs = self.convolution(inputs)
            elif node.op_type in QUANTISED:
                # Of Resize only the first input is a map.
                inputs = [self.map(name) if name and name not in self.values and not (node.op_type == 'Resize' and k)
                          else name for k, name in enumerate(inputs)]
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            del copy.input[:]
            copy.input.extend(inputs)
            self.nodes.append(copy)
        del graph.node[:]
        graph.node.extend(self.nodes)
        kept = [i for i in graph.initializer if i.name not in self.replaced]
        del graph.initializer[:]
        graph.initializer.extend(kept + self.constants)
        onnx.save(model, case + '/yolov3_int8.onnx')


if mode == 'all':
    all_maps()
else:
    Quantiser(json.load(open(case + '/ranges.json'))).run()
