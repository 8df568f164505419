"""PyTorch on the case of write_case, in the ways that its users would try.

    torch_peer.py CASE check 0 THREADS     writes CASE/outputs/torch-*.f32
    torch_peer.py CASE time RUNS THREADS   prints "torch-NAME MS MS ..." a variant
    torch_peer.py CASE onnx 0 THREADS      writes CASE/yolov3.onnx
    torch_peer.py CASE version 0 0
"""
import sys
import time

import torch
from torch.fx.experimental.optimization import fuse

from darknet_torch import Darknet, read_input, write_maps

case, mode, runs, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if mode == 'version':
    print('PyTorch', torch.__version__)
    sys.exit()
torch.set_num_threads(threads)
NHWC = torch.channels_last


def network():
    return Darknet(case + '/yolov3.cfg').load(case + '/yolov3.weights')


image = read_input(case, network().size)


def eager():
    net = network()
    return lambda: net(image)


def eager_nhwc():
    net, x = network().to(memory_format=NHWC), image.to(memory_format=NHWC)
    return lambda: net(x)


def jit():
    net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(network(), image)))
    return lambda: net(image)


def bf16_folded():
    net = fuse(network()).to(memory_format=NHWC).to(torch.bfloat16)
    return net, image.to(memory_format=NHWC).to(torch.bfloat16)


def bf16_eager():
    net, x = bf16_folded()
    return lambda: net(x)


def bf16_jit():
    net, x = bf16_folded()
    net = torch.jit.freeze(torch.jit.trace(net, x))
    return lambda: net(x)


VARIANTS = [('torch-f32-eager', eager), ('torch-f32-eager-nhwc', eager_nhwc), ('torch-f32-jit', jit),
            ('torch-bf16-eager', bf16_eager), ('torch-bf16-jit', bf16_jit)]

with torch.no_grad():
    if mode == 'onnx':
        torch.onnx.export(network(), image, case + '/yolov3.onnx', opset_version=13, do_constant_folding=True,
                          input_names=['x'], output_names=['map0', 'map1', 'map2'])
        sys.exit()
    for name, make in VARIANTS:
        forward = make()
        maps = forward()
        forward()  # the jit's second run still compiles
        if mode == 'check':
            write_maps(case, name, forward())
            continue
        ms = []
        for _ in range(runs):
            start = time.perf_counter()
            forward()
            ms.append(1e3 * (time.perf_counter() - start))
        print(name, *('%.3f' % t for t in ms), flush=True)
