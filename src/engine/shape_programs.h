// The programs that an engine keeps for the shapes of images it has met last, all in one arena, which is as large as the
// largest of them needs.
//
// Program: arena_bytes() and place(arena), as DnnlProgram and DnnlTrainProgram have them.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>

#include "base/tensor.h"
#include "net/spec.h"

namespace yolov3 {

struct BatchShape {
  int64_t images = 0, height = 0, width = 0;
  auto operator<=>(const BatchShape&) const = default;
};

template <class Program>
class ShapePrograms {
 public:
  struct Entry {
    BatchShape shape;
    std::unique_ptr<Program> program;
  };

  explicit ShapePrograms(size_t most) : most_(most) {}

  // The program for this shape. Where there is none, make(the network at this size, images) gives it, and the one that
  // has not been used for longest goes when there are too many. Errors: make's, and a size that the network cannot take;
  // no memory for the arena, after which no program is left, for none has a place any more.
  template <class Make>
  Program& get(const BatchShape& shape, const NetworkSpec& spec, const Make& make) {
    const auto found = std::ranges::find(entries_, shape, &Entry::shape);
    if (found != entries_.end()) {
      entries_.splice(entries_.begin(), entries_, found);
      return *entries_.front().program;
    }
    const bool same_size = spec.input.height == shape.height && spec.input.width == shape.width;
    std::unique_ptr<Program> made =
        make(same_size ? spec : with_input_size(spec, shape.width, shape.height), shape.images);
    if (entries_.size() >= most_) entries_.pop_back();
    entries_.push_front({shape, std::move(made)});
    try {
      fit_arena();
    } catch (...) {
      entries_.clear();
      throw;
    }
    return *entries_.front().program;
  }

  const std::list<Entry>& entries() const { return entries_; }  // last used first
  int64_t arena_bytes() const { return 4 * arena_.size(); }

 private:
  // It shrinks when the large programs have gone.
  void fit_arena() {
    int64_t needed = 0;
    for (const Entry& entry : entries_) needed = std::max(needed, entry.program->arena_bytes());
    const int64_t floats = (needed + 3) / 4;
    if (floats > arena_.size() || floats < arena_.size() / 2) {
      arena_ = Tensor();  // the old one goes first: two need not fit
      arena_ = Tensor({floats});
    }
    for (const Entry& entry : entries_) entry.program->place(reinterpret_cast<std::byte*>(arena_.data()));
  }

  size_t most_;
  std::list<Entry> entries_;
  Tensor arena_;
};

}  // namespace yolov3
