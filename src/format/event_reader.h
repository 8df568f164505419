// Follows the scalars of a TensorBoard event file (format/events.h) while it grows.
//
// What was not written whole yet waits for the next read(). A record whose checksum is wrong, or that claims more than
// 64 MB, ends the reading: damage() says where. Pictures and tensors are passed over. One record is in memory at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

struct ScalarPoint {
  int64_t step = 0;
  std::string_view tag;  // valid during the call
  float value = 0;
};

class EventReader {
 public:
  explicit EventReader(std::filesystem::path path) : path_(std::move(path)) {}

  // `take` gets every scalar since the last call, in the order of the file. A file that is gone has nothing new.
  void read(const std::function<void(const ScalarPoint&)>& take);
  const std::string& damage() const { return damage_; }  // empty: sound as far as it was read
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  uint64_t offset_ = 0;  // of the first record not read yet
  std::string damage_;
};

// The scalars (`simple_value`) of one serialized Event; of one that is cut short or not protobuf, those before that.
std::vector<ScalarPoint> scalars_of_event(std::string_view event);

}  // namespace yolov3
