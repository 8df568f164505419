// Which pictures an epoch shows and in which order, and which others a mosaic or a mixup takes.
//
// With a rarity over 0 pictures with rare classes come more often and others less, an epoch staying as long as the data
// set: a picture's weight is the largest (share of the commonest class / share of its class)^rarity of its classes, a
// share being that of the pictures that hold the class; a background's is 1. Source: repeat factors of arXiv 1908.03195
// (LVIS), whose exponent is 1/2.
//
// Threads: any may draw, each with an Rng of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "data/dataset.h"

namespace yolov3 {

// A place in an epoch. The second time that an epoch shows a picture it is augmented otherwise.
struct EpochPlace {
  int64_t example = 0;
  uint64_t stream = 0;  // of Rng(seed, epoch, stream): the example, at its first place
  bool operator==(const EpochPlace&) const = default;
};

class PictureSampler {
 public:
  PictureSampler(const Dataset& dataset, double rarity);

  // As many places as pictures. Not shuffled and rarity 0: each picture once, in order. Drawn by weight, each picture is
  // there as often as its share of the places says, rounded down or up.
  std::vector<EpochPlace> epoch(bool shuffle, Rng rng) const;

  int64_t draw(Rng& rng) const;  // one picture, by weight; the data set must have some

  const std::vector<double>& weights() const { return weights_; }  // empty: all the same

 private:
  int64_t count_;
  std::vector<double> weights_, sums_;  // sums_[i]: of the weights up to i
};

// For people: how uneven an epoch becomes. Empty when all pictures weigh the same.
std::string describe_weights(const PictureSampler& sampler);

// Objects of each class, crowd regions apart.
std::vector<int64_t> objects_of_classes(const Dataset& dataset);

}  // namespace yolov3
