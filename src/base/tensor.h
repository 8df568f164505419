// An owned, contiguous array of float32 with a shape: the only numeric currency between rooms.
//
// Shape: row major, the last index runs fastest; images and feature maps are (N,C,H,W).
// The memory is 64-byte aligned, so that LibTorch and oneDNN can view it without a copy. Copies are deep.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace yolov3 {

using Shape = std::vector<int64_t>;

int64_t element_count(const Shape& shape);
std::string to_string(const Shape& shape);  // "(1,3,416,416)"

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Shape shape);  // zeros
  Tensor(const Tensor& other);
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(const Tensor& other);
  Tensor& operator=(Tensor&&) noexcept = default;

  const Shape& shape() const { return shape_; }
  int64_t dim(size_t axis) const { return shape_.at(axis); }
  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  float& operator[](int64_t i) { return data_[static_cast<size_t>(i)]; }
  float operator[](int64_t i) const { return data_[static_cast<size_t>(i)]; }
  std::span<float> values() { return {data(), static_cast<size_t>(size_)}; }
  std::span<const float> values() const { return {data(), static_cast<size_t>(size_)}; }

  // Element of a tensor with four axes.
  float& at(int64_t n, int64_t c, int64_t h, int64_t w) { return (*this)[offset(n, c, h, w)]; }
  float at(int64_t n, int64_t c, int64_t h, int64_t w) const { return (*this)[offset(n, c, h, w)]; }

  bool operator==(const Tensor& other) const;

 private:
  int64_t offset(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return ((n * shape_[1] + c) * shape_[2] + h) * shape_[3] + w;
  }
  struct Free {
    void operator()(float* data) const;
  };

  Shape shape_;
  int64_t size_ = 0;
  std::unique_ptr<float[], Free> data_;
};

}  // namespace yolov3
