#include "base/tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr size_t kAlignment = 64;
constexpr int64_t kMaxElements = INT64_MAX / 8;  // whose bytes, rounded up, can be counted

}  // namespace

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) {
    check(extent >= 0 && !__builtin_mul_overflow(count, extent, &count), "a tensor cannot have the shape {}",
          to_string(shape));
  }
  return count;
}

std::string to_string(const Shape& shape) { return fmt::format("({})", fmt::join(shape, ",")); }

void Tensor::Free::operator()(float* data) const { std::free(data); }

Tensor::Tensor(Shape shape) : shape_(std::move(shape)), size_(element_count(shape_)) {
  check(size_ <= kMaxElements, "a tensor cannot have the shape {}", to_string(shape_));
  const size_t bytes = (static_cast<size_t>(size_) * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  data_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, std::max(bytes, kAlignment))));
  if (!data_) throw std::bad_alloc();
  std::fill_n(data_.get(), size_, 0.0f);
}

Tensor::Tensor(const Tensor& other) {
  if (!other.data_) return;
  *this = Tensor(other.shape_);
  std::copy_n(other.data(), size_, data());
}

Tensor& Tensor::operator=(const Tensor& other) {
  if (this != &other) *this = Tensor(other);
  return *this;
}

bool Tensor::operator==(const Tensor& other) const {
  return shape_ == other.shape_ && std::equal(values().begin(), values().end(), other.values().begin());
}

}  // namespace yolov3
