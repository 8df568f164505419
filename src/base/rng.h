// Random numbers that depend only on what they are for.
//
// Rng(seed, epoch, index) gives sample `index` of `epoch` the same stream whatever thread or machine draws it. The
// generator is xoshiro256** seeded through splitmix64 (Blackman and Vigna, prng.di.unimi.it); the distributions are our
// own because those of <random> differ between standard libraries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace yolov3 {

class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t epoch = 0, uint64_t index = 0);

  uint64_t next();                             // all 64 bits random
  double uniform();                            // in [0,1), 53 bits
  double uniform(double low, double high);     // in [low,high)
  int64_t integer(int64_t low, int64_t high);  // in [low,high], unbiased; needs low <= high
  bool chance(double probability);
  double normal();  // mean 0, deviation 1

  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[integer(0, static_cast<int64_t>(i) - 1)]);
  }

 private:
  uint64_t state_[4];
};

}  // namespace yolov3
