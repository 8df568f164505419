// Batch norm with its activation and a residual, forwards and backwards, as passes over feature maps that read and
// write each number once. With the mean m and the variance v of a channel's z over images and pixels, count numbers:
//   forwards   xhat = (z - m) / sqrt(v + epsilon); out = activation(gamma * xhat + beta) + addend
//   backwards  dy = gradient * activation'(gamma * xhat + beta); dbeta = sum dy; dgamma = sum dy * xhat
//              dz = gamma / sqrt(v + epsilon) * (dy - dbeta / count - xhat * dgamma / count)
// sum_channels gives m and v, normalize_map is the way forwards, sum_gradients gives dbeta and dgamma, and
// gradient_of_normalize dz, as dy * scale + (z - m) * slope + offset. Source: Ioffe and Szegedy 2015, algorithm 1.
//
// Shape: all maps of a call have the same images, shape and layout (channels_last, maybe slices; blocked8; blocked16;
// not planes), and each its own type, f32 or bf16; else our own mistake (assert). Everything is computed in f32. Maps
// of one type and the activations linear, leaky and relu take the kernels of engine/norm_kernels.h at the speed of the
// memory; mixed types are widened first, and the other activations are computed number by number in double.
// Results have the same bits for any number of threads and any instruction set.
// Threads: OpenMP's.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/map_view.h"
#include "net/spec.h"

namespace yolov3 {

// y = (z - mean) * scale + shift of each channel: a batch norm with the batch's statistics, or a frozen one with the
// running ones. mean 0, scale 1, shift 0 changes nothing.
struct ChannelAffine {
  std::vector<float> mean, scale, shift;
};

// What dz has besides dy * scale: (z - mean) * slope + offset.
struct ChannelSlopes {
  std::vector<float> slope, offset;
};

// isa, in all that follows: see norm_kernels.h; empty = the best.

// Of each channel the sum of its numbers and of their squares. A large mean does not eat the variance: pieces of at
// most 256 pixels are summed in f32 as differences to the piece's first number, and are put together in double.
void sum_channels(const MapView& z, std::span<double> sum, std::span<double> square_sum, const std::string& isa = "");

// out = activation(affine(z)) + addend; addend may be null. `out` may be where z or the addend is, if it has its type.
void normalize_map(const MapView& z, const ChannelAffine& affine, Activation activation, const MapView* addend,
                   const MapView& out, const std::string& isa = "");

// The backward pass, first half: of each channel the sums of dy = gradient * activation'(affine(z)) and of
// dy * (z - mean), in pieces as above. At 0 leaky and relu have the slope below zero.
// more (may be null): a second gradient of the same map. gradient = gradient + more, rounded to its type, comes first.
void sum_gradients(const MapView& z, const ChannelAffine& affine, Activation activation, const MapView& gradient,
                   const MapView* more, std::span<double> sum_dy, std::span<double> sum_dy_centered,
                   const std::string& isa = "");

// The second half: out = dy * scale + (z - mean) * slope + offset, dy as above. `out` may be where `gradient` or z is,
// if it has its type.
void gradient_of_normalize(const MapView& z, const ChannelAffine& affine, Activation activation,
                           const MapView& gradient, const ChannelSlopes& slopes, const MapView& out,
                           const std::string& isa = "");

}  // namespace yolov3
