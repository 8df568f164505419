// Small networks, weights and inputs that the engines' tests share.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/reference.h"
#include "net/cfg.h"
#include "net/quantization.h"

namespace yolov3 {

inline Tensor random_images(int64_t n, int64_t height, int64_t width, int64_t channels = 3) {
  Tensor images({n, channels, height, width});
  Rng rng(11);
  for (float& value : images.values()) value = static_cast<float>(rng.uniform());
  return images;
}

inline std::vector<Image> random_pictures(int64_t n, int height, int width) {
  std::vector<Image> pictures(static_cast<size_t>(n), Image(width, height));
  Rng rng(12);
  for (Image& picture : pictures) {
    for (uint8_t& byte : picture.rgb) byte = static_cast<uint8_t>(rng.uniform(0, 256));
  }
  return pictures;
}

// Weights whose batch norm does something (statistics and scales away from 0 and 1) and whose heads answer to their
// input: random_weights() makes head kernels small.
inline std::shared_ptr<const Weights> lively_weights(const NetworkSpec& spec) {
  auto weights = std::make_shared<Weights>(random_weights(spec, {.seed = 5}));
  const std::vector<ParamSlot> slots = param_slots(spec);
  Rng rng(6);
  for (size_t i = 0; i < slots.size(); ++i) {
    const bool positive = slots[i].kind == ParamKind::gamma || slots[i].kind == ParamKind::running_var;
    for (float& value : weights->tensors[i].values()) {
      if (slots[i].kind == ParamKind::kernel) {
        if (slots[i].batch_norm < 0) value *= 10;
      } else {
        value = static_cast<float>(positive ? rng.uniform(0.5, 1.5) : rng.uniform(-0.3, 0.3));
      }
    }
  }
  return weights;
}

// Scales from the largest numbers that the reference engine shows for these images; the convolutions of the heads stay
// in floating point.
inline std::shared_ptr<const Quantization> measured_scales(const NetworkSpec& spec,
                                                           const std::shared_ptr<const Weights>& weights,
                                                           const Tensor& images) {
  auto quantization = std::make_shared<Quantization>();
  quantization->scales.resize(spec.layers.size());
  make_reference_engine(spec, weights)->forward_observed(images, [&](int layer, const Tensor& map) {
    float largest = 1e-3f;
    for (const float value : map.values()) largest = std::max(largest, std::abs(value));
    quantization->scales[static_cast<size_t>(layer)] = largest / 127;
  });
  share_scales(spec, quantization->scales);
  for (const Head& head : heads(spec)) {
    const int layer = spec.layers[static_cast<size_t>(head.layer)].inputs[0];
    if (std::holds_alternative<Conv>(spec.layers[static_cast<size_t>(layer)].op)) {
      quantization->float_layers.push_back(layer);
    }
  }
  std::ranges::sort(quantization->float_layers);
  return quantization;
}

struct NamedCfg {
  std::string name, text;  // text without [net]
};
inline void PrintTo(const NamedCfg& cfg, std::ostream* out) { *out << cfg.name; }

// A network for each kind of layer and joint that the formats know.
std::vector<NamedCfg> kinds_of_networks();

inline NetworkSpec spec_of(const std::string& layers, int width, int height) {
  const std::string net =
      "[net]\nwidth=" + std::to_string(width) + "\nheight=" + std::to_string(height) + "\nchannels=3\n";
  return parse_cfg(net + layers, "test.cfg").spec;
}

}  // namespace yolov3
