// TensorBoard's event file: TFRecords (length, masked CRC-32C, protobuf Event, masked CRC-32C), appended and flushed.
// Errors: a full disk must not end a long training, so nothing but the constructor and flush() throws: flush() leaves
// the file at a record's end, keeps what it could not write for the next flush() and throws an Error for the caller to
// show. At most 16 MB wait; what comes after is dropped, and the next flush() that can write says how many records.
// Threads: one at a time.
// Source: tensorflow/core/util/event.proto and lib/io/record_writer, of precision-recall curves TensorBoard's plugin
// pr_curves (metadata.py, summary.py); the few fields used are encoded by hand.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace yolov3 {

struct EventPicture {
  int width = 0, height = 0;
  std::string bytes;  // a whole JPEG or PNG file
};

// How many answers with a score of at least i / (points - 1) are right, how many wrong, and how many objects they miss.
struct PrCurve {
  std::vector<int64_t> right, wrong, missed;  // of one length
};

class EventWriter {
 public:
  // Makes events.out.tfevents.<unix time>.<host>.<pid> in `folder`.
  explicit EventWriter(const std::filesystem::path& folder);
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  // Kept in memory until flush().
  void scalars(int64_t step, const std::vector<std::pair<std::string, float>>& values);
  void picture(int64_t step, const std::string& tag, const EventPicture& picture);
  void pr_curve(int64_t step, const std::string& tag, const PrCurve& curve);
  // A run that goes on at `step`: what earlier files of the folder say of this and later steps is void, and TensorBoard
  // leaves it out.
  void session_start(int64_t step);
  void flush();  // to the system, not to the disk: a crash of the program loses nothing that was flushed
  const std::filesystem::path& path() const { return path_; }

 private:
  void record(const std::string& event);
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::string pending_;   // whole records, but for a file that cannot be shortened
  uint64_t written_ = 0;  // bytes of the file
  int64_t dropped_ = 0;   // records since the last flush
};

// Encodings, for tests.
std::string encode_scalar_event(double wall_time, int64_t step,
                                const std::vector<std::pair<std::string, float>>& values);
std::string encode_picture_event(double wall_time, int64_t step, const std::string& tag, const EventPicture& picture);
std::string encode_pr_curve_event(double wall_time, int64_t step, const std::string& tag, const PrCurve& curve);
std::string encode_session_start_event(double wall_time, int64_t step);
std::string frame_record(const std::string& payload);

}  // namespace yolov3
