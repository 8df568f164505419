// The layers that are no convolutions, and what a convolution leaves to be done: passes over maps in any format
// (engine/map_view.h), spread over OpenMP's threads. A pass reads and writes each number once.
//
// Shapes: as net/spec.h says of the layer; views of other shapes are our own mistake (assert). Maps may be slices of
// larger ones, so that what is joined later is written into its place at once.
#pragma once

#include <span>

#include "engine/map_view.h"
#include "engine/number_ops.h"
#include "image/image.h"
#include "net/spec.h"

namespace yolov3 {

// out = activation(in) + addend (add_first: activation(in + addend)), converted to out's format. addend: null, or a map
// of in's shape; one with other channels adds what both have (net/spec.h, Shortcut). Not for Layout::planes.
void compute_map(const MapView& in, const MapView* addend, const RowMath& math, const MapView& out);

// Channels of `in` to channels [first, ...) of `out`; formats may differ. Not for Layout::planes.
void copy_channels(const MapView& in, int64_t in_first, int64_t count, const MapView& out, int64_t out_first);

void upsample_map(const MapView& in, int stride, const MapView& out);
// A NaN in a window comes out of it, as in torch.
void max_pool_map(const MapView& in, const MaxPool& pool, const MapView& out);
void average_map(const MapView& in, const MapView& out);
void scale_map(const MapView& factors, const MapView& in, Activation activation, const MapView& out);

// N,C,H,W floats in any format, and back. planes_to_map also takes the network's input.
void planes_to_map(const float* planes, const MapView& out);
void map_to_planes(const MapView& in, float* planes);

// Letterboxed pictures of out's size to the network's input, in [0,1].
void pictures_to_map(std::span<const Image> pictures, const MapView& out);

}  // namespace yolov3
