// Darknet's .weights: a header and the numbers of the convolutions, in the order of param_slots (net/weights.h). The
// file names nothing, so the network has to be known; all that can be checked is how many numbers there are.
// docs/formats.md has the bytes.
//
// A backbone (darknet53.conv.74, what Darknet's `partial` writes) is the beginning of such a file: the numbers of the
// first convolutions.
//
// Errors: an empty, short or long file, one of another class count, one that is no Darknet file (a web page, a picture,
// another framework's model). They give the numbers found and expected, the class count or model that would fit, and
// what to try. The size of the file is checked before memory is asked for.
// Source: Darknet's parser.c, load_weights_upto and save_weights_upto.
#pragma once

#include <cstdint>
#include <filesystem>

#include "net/spec.h"
#include "net/weights.h"

namespace yolov3 {

struct DarknetWeights {
  Weights weights;  // the first tensors of the network, as many as the file holds: all of them, but for a backbone
  int convolutions = 0, all_convolutions = 0;  // in the file, in the network
  int32_t major = 0, minor = 0, revision = 0;  // of the format
  int64_t seen = 0;                            // pictures that it was trained on
  bool whole() const { return convolutions == all_convolutions; }
};

enum class DarknetPart { whole, backbone };  // backbone: a whole file is welcome too

DarknetWeights load_darknet_weights(const std::filesystem::path& path, const NetworkSpec& spec,
                                    DarknetPart accepted = DarknetPart::whole);

// How many numbers follow the header: what tells the network (format/choose_network.h).
int64_t count_darknet_numbers(const std::filesystem::path& path);

struct DarknetSaveOptions {
  int64_t seen = 0;
  int layers = -1;  // only the layers before this one, as in Darknet's `partial`; -1 = all
};

// Version 0.2.5, which Darknet, AlexeyAB's fork and OpenCV read. Whole or not at all. Errors: weights that do not fit.
void save_darknet_weights(const std::filesystem::path& path, const NetworkSpec& spec, const Weights& weights,
                          const DarknetSaveOptions& options = {});

}  // namespace yolov3
