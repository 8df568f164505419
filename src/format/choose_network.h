// Which network a file of bare numbers belongs to: Darknet's .weights and Keras' saved weights name no structure, so it
// comes from --model and from how many numbers there are.
//
// Errors: a count that fits nothing. They give the numbers found and expected, the class count or model that would fit,
// and what to try.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

struct NetworkChoice {
  std::string model;      // yolov3, yolov3-spp, yolov3-tiny or FILE.cfg; empty = the one of the family that fits
  int classes = 0;        // of a model by name; 0 = as many as the numbers say
  bool transfer = false;  // a backbone, other classes than the .cfg's and another model of the family will do
};

// The network that has exactly so many numbers; of a backbone, its layers up to the last convolution. Says on stderr
// what was not asked for: a model or a class count that was concluded, a backbone.
NetworkSpec choose_network(const NetworkChoice& choice, int64_t numbers, const std::filesystem::path& path);

int64_t count_numbers(const std::vector<ParamSlot>& slots);

// How many slots the first `numbers` numbers fill, when they end with a convolution; 0 when they do not.
size_t whole_slots(const std::vector<ParamSlot>& slots, int64_t numbers);

// The class count with which the network would have `numbers` numbers: every class adds the same to each head's
// convolution. Nothing when there is none, or a head stands behind something else.
std::optional<int> fitting_classes(const NetworkSpec& spec, int64_t numbers);

// "path: 8 numbers, but the network has 9 with its 3 classes; ...": why they do not fit.
[[noreturn]] void fail_numbers(const std::filesystem::path& path, int64_t numbers, const NetworkSpec& spec);

}  // namespace yolov3
