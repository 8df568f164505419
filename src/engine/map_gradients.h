// Backward passes of the layers that are no convolutions: the counterpart of engine/map_passes.h, with its maps in any
// format but 8 bits and Layout::planes, maybe slices of larger maps, and its threads.
//
// Shapes: `to` has the shape of what the layer read, `gradient` that of what it wrote. Formats of one call's maps may
// differ. Sums are in f32 or wider, results are rounded once, to `to`'s type. Results have the same bits for any number
// of threads and any instruction set. The channels that fill up a blocked map's last block hold zeros afterwards, if
// they do in what is read.
#pragma once

#include "engine/map_view.h"
#include "net/spec.h"

namespace yolov3 {

// A gradient is written, or added to what other readers of the map gave. A fresh one is written whole: zero where the
// layer took nothing from the map.
enum class Into { fresh, sum };

// Of a shortcut, or any layer that passes its map on. Maps with other channels: what both have (net/spec.h, Shortcut).
void add_gradient(const MapView& gradient, const MapView& to, Into into);

// Of a route: channels [first, first + count) of the joined map's gradient to channels [to_first, ...) of a part's.
void add_channels_gradient(const MapView& gradient, int64_t first, int64_t count, const MapView& to, int64_t to_first,
                           Into into);

void upsample_gradient(const MapView& gradient, int stride, const MapView& to, Into into);

// To the largest of each window of `in`: of equal ones the first in row-major order, of NaNs the last, as torch does.
void max_pool_gradient(const MapView& in, const MaxPool& pool, const MapView& gradient, const MapView& to, Into into);

void average_gradient(const MapView& gradient, const MapView& to, Into into);

// Of ScaleChannels before its activation: to the map it scales, and to the factors (C,1,1).
void scale_gradient(const MapView& factors, const MapView& gradient, const MapView& to, Into into);
void scale_factors_gradient(const MapView& in, const MapView& gradient, const MapView& to, Into into);

// to = gradient * activation'(before), of maps of one shape. `to` may be where `gradient` or `before` is, if their
// formats are the same.
void activation_gradient(const MapView& before, Activation activation, const MapView& gradient, const MapView& to);

// Forward: each number is kept with 1 - probability and divided by it, or else zero. The gradient is the same function
// of the gradient, with the same seed: which numbers are kept depends on the seed and a number's place in N,C,H,W alone
// (engine/gradient_ops.h), so nothing is stored. `to` may be where `in` is, if their formats are the same.
void dropout_map(const MapView& in, double probability, uint64_t seed, const MapView& to, Into into = Into::fresh);

}  // namespace yolov3
