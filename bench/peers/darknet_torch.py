"""A network of Darknet's .cfg and .weights as a PyTorch module, written without a look at our reader or engines.

Knows the sections of yolov3.cfg. forward(x) returns the raw maps of the heads, small objects first.
"""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def read_cfg(path):
    sections = []
    for line in open(path):
        line = line.split('#')[0].strip()
        if line.startswith('['):
            sections.append((line.strip('[]'), {}))
        elif line:
            key, value = line.split('=', 1)
            sections[-1][1][key.strip()] = value.strip()
    return sections[0][1], sections[1:]


class Darknet(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        net, self.sections = read_cfg(cfg)
        self.size = int(net['width'])
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        channels, before = [], int(net['channels'])
        for i, (kind, keys) in enumerate(self.sections):
            if kind == 'convolutional':
                filters, size = int(keys['filters']), int(keys['size'])
                norm = keys.get('batch_normalize', '0') == '1'
                pad = size // 2 if keys.get('pad', '0') == '1' else int(keys.get('padding', '0'))
                self.convs[str(i)] = nn.Conv2d(before, filters, size, int(keys['stride']), pad, bias=not norm)
                if norm:
                    self.norms[str(i)] = nn.BatchNorm2d(filters, eps=1e-5)
                before = filters
            elif kind == 'route':
                before = sum(channels[j] for j in self.earlier(i, keys['layers']))
            elif kind not in ('shortcut', 'upsample', 'yolo'):
                raise ValueError('[%s] is no section of yolov3.cfg' % kind)
            channels.append(before)

    @staticmethod
    def earlier(i, numbers):
        return [int(n) + i if int(n) < 0 else int(n) for n in numbers.split(',')]

    def load(self, path):
        data = np.fromfile(path, dtype=np.uint8)
        major, minor, _ = data[:12].view('<i4')
        numbers, used = data[20 if major * 10 + minor >= 2 else 16:].view('<f4'), 0
        with torch.no_grad():
            for name, conv in self.convs.items():
                norm = self.norms[name] if name in self.norms else None
                order = [norm.bias, norm.weight, norm.running_mean, norm.running_var] if norm else [conv.bias]
                for tensor in order + [conv.weight]:
                    count = tensor.numel()
                    tensor.copy_(torch.from_numpy(numbers[used:used + count].copy()).view_as(tensor))
                    used += count
        assert used == len(numbers), '%s: %d numbers used of %d' % (path, used, len(numbers))
        return self.eval()

    def forward(self, x):
        maps, heads = [], []
        for i, (kind, keys) in enumerate(self.sections):
            if kind == 'convolutional':
                x = self.convs[str(i)](x)
                if str(i) in self.norms:
                    x = self.norms[str(i)](x)
                if keys['activation'] == 'leaky':
                    x = F.leaky_relu(x, 0.1, inplace=True)
            elif kind == 'shortcut':
                x = x + maps[self.earlier(i, keys['from'])[0]]
            elif kind == 'route':
                joined = [maps[j] for j in self.earlier(i, keys['layers'])]
                x = torch.cat(joined, 1) if len(joined) > 1 else joined[0]
            elif kind == 'upsample':
                x = F.interpolate(x, scale_factor=float(keys['stride']))
            elif kind == 'yolo':
                heads.append(x)
            maps.append(x)
        return tuple(reversed(heads))


def read_input(case, size):
    return torch.from_numpy(np.fromfile(case + '/input.f32', '<f4').reshape(1, 3, size, size).copy())


def write_maps(case, name, maps):
    np.concatenate([m.float().contiguous().numpy().ravel() for m in maps]).astype('<f4').tofile(
        '%s/outputs/%s.f32' % (case, name))
