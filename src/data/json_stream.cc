#include "data/json_stream.h"

#include "base/error.h"

namespace yolov3 {

bool JsonBytes::fill() {
  check(read_ - last_token_ <= kMaxTokenBytes, "{}:{}: more than {} bytes without a whole value; is it COCO's JSON?",
        name_, line_, kMaxTokenBytes);
  in_.read(block_.data(), static_cast<std::streamsize>(block_.size()));
  check(!in_.bad(), "{}: cannot read", name_);
  size_ = static_cast<size_t>(in_.gcount());
  next_ = 0;
  read_ += static_cast<int64_t>(size_);
  return size_ > 0;
}

}  // namespace yolov3
