// Valid models that fuzzers begin with.
#pragma once

#include "format/model_file.h"
#include "net/builder.h"
#include "net/cfg.h"

namespace yolov3 {

// A layer of most kinds, batch norm and bias.
inline constexpr const char* kSeedCfg = R"([net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=4
size=1
stride=1
pad=1
activation=linear
[shortcut]
from=-2
activation=linear
[route]
layers=-1,0
[upsample]
stride=2
[maxpool]
size=32
stride=32
padding=0
[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1
anchors=10,13, 16,30
classes=2
num=2
)";

inline Model seed_model() {
  Model model;
  model.spec = parse_cfg(kSeedCfg, "seed.cfg").spec;
  model.weights = random_weights(model.spec);
  model.names = {"dog", "traffic light"};
  return model;
}

inline TrainingState seed_state() {
  TrainingState state;
  state.tensors["adam/step"] = Tensor({2, 2});
  state.values["epoch"] = "1";
  return state;
}

// What the fuzzers of Darknet's and Keras' weights take for the network.
inline NetworkSpec seed_network() {
  return NetworkBuilder({3, 8, 8}).conv(2, 1).conv(6, 1, 1, Activation::linear, false).yolo({{4, 4}}, {0}, 1).build();
}

}  // namespace yolov3
