#include "base/tensor.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr int64_t kMaxElements = INT64_MAX / 8;  // whose bytes, rounded up, can be counted

size_t rounded_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Large ones in huge pages where the system gives them: weights and maps are read from end to end, and the processor's
// prefetching stops at the end of a page.
float* allocate(size_t bytes) {
  const bool large = bytes >= 2 * kHugePage;
  const size_t alignment = large ? kHugePage : kAlignment;
  const size_t size = rounded_up(std::max(bytes, kAlignment), alignment);
  void* data = std::aligned_alloc(alignment, size);
  if (data == nullptr) throw std::bad_alloc();
  if (large) madvise(data, size, MADV_HUGEPAGE);  // a wish: what it returns does not matter
  return static_cast<float*>(data);
}

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
  data_.reset(allocate(static_cast<size_t>(size_) * sizeof(float)));
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
