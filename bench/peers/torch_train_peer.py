"""Training steps of PyTorch on the network that write_case has written: forward, a loss, backward, Adam (foreach).

  torch_train_peer.py CASE KIND STEPS BATCH THREADS        KIND: f32-nchw, f32-nhwc, bf16-nhwc (autocast)

Prints "torch-KIND MS" for each step but the first. The loss is the mean square of each raw map, which costs next to
nothing: PyTorch is not charged for a YOLO loss.
"""
import sys
import time

import torch

from darknet_torch import Darknet


def main():
    case, kind, steps, batch, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    bf16, nhwc = kind.startswith('bf16'), kind.endswith('nhwc')
    layout = torch.channels_last if nhwc else torch.contiguous_format
    network = Darknet(case + '/yolov3.cfg').load(case + '/yolov3.weights').train().to(memory_format=layout)
    images = torch.rand(batch, 3, network.size, network.size).to(memory_format=layout)
    adam = torch.optim.Adam(network.parameters(), 1e-4, foreach=True)
    for step in range(steps + 1):
        start = time.perf_counter()
        adam.zero_grad(set_to_none=True)
        with torch.cpu.amp.autocast(enabled=bf16, dtype=torch.bfloat16):
            maps = network(images)
        loss = sum(m.float().square().mean() for m in maps)
        loss.backward()
        adam.step()
        if step > 0:
            print('torch-%s %.1f' % (kind, 1000 * (time.perf_counter() - start)), flush=True)


main()
