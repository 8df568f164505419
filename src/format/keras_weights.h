// Weights files of Keras (`model.save_weights("x.h5")`, or the model_weights of `model.save`): an HDF5 file of layers
// with names and numbers, that says neither the network's structure nor its classes. As the notes' TensorFlow code
// writes them: conv2d, conv2d_1, ...; batch_normalization, ...; kernels HWIO; batch norm's epsilon is Keras' 1e-3, which
// no file says.
//
// Reading pairs the file's layers with the network's by the ordinals in their names ("model/conv2d_5/kernel:0" is the
// sixth convolution; where counting began at another number, ranks count), else by Keras' order of layers, else by
// Darknet's. Gamma is rescaled to the network's own epsilon, so that outputs are equal.
// Such a file has no checksum and HDF5 was not written for hostile files: it is read in a process of its own
// (format/fenced_read.h).
// Errors: files that are no Keras weights; layers without a partner, by name with both shapes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

namespace hdf5 {
class File;
}

constexpr float kKerasEpsilon = 1e-3f;

struct KerasTensor {
  std::string layer, name;  // "conv2d_5", "conv2d_5/kernel:0"
  Shape shape;              // as stored: kernels HWIO
  std::vector<float> values;
};

// In the order of the file. `size`: of the HDF5 file, from `descriptor`.
std::vector<KerasTensor> read_keras_tensors(int descriptor, uint64_t size, const std::filesystem::path& path);

// The same from a process of its own.
std::vector<KerasTensor> load_keras_tensors(const std::filesystem::path& path);

int64_t count_keras_numbers(const std::vector<KerasTensor>& tensors);

// "75 convolutions, conv2d (3,3,3,32) to conv2d_74 (1,1,256,255), and 72 others": for messages.
std::string describe_keras_layers(const std::vector<KerasTensor>& tensors);

struct KerasMatch {
  Weights weights;  // for spec.bn_epsilon
  std::string how;  // "by name", "by Keras' order of layers", ...
};
KerasMatch match_keras_tensors(const std::vector<KerasTensor>& tensors, const NetworkSpec& spec,
                               const std::filesystem::path& path);

// What Keras' load_weights takes, with gamma for its epsilon. Whole or not at all.
void save_keras_weights(const std::filesystem::path& path, const NetworkSpec& spec, const Weights& weights);

// The layers alone, as they are, into an open file: also the middle part of our own model file.
void write_keras_layers(hdf5::File& file, const NetworkSpec& spec, const Weights& weights);

}  // namespace yolov3
