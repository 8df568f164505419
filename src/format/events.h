// TensorBoard's event file: TFRecords (length, masked CRC-32C, protobuf Event, masked CRC-32C), appended and flushed.
// Source: tensorflow/core/util/event.proto and lib/io/record_writer; the few fields used are encoded by hand.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace yolov3 {

class EventWriter {
 public:
  // Makes events.out.tfevents.<unix time>.<host>.<pid> in `folder`.
  explicit EventWriter(const std::filesystem::path& folder);
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  void scalars(int64_t step, const std::vector<std::pair<std::string, float>>& values);
  void flush();
  const std::filesystem::path& path() const { return path_; }

 private:
  void record(const std::string& event);
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::string pending_;
};

// Encodings, for tests.
std::string encode_scalar_event(double wall_time, int64_t step, const std::vector<std::pair<std::string, float>>& values);
std::string frame_record(const std::string& payload);

}  // namespace yolov3
