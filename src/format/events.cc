#include "format/events.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <initializer_list>

#include "base/checksum.h"
#include "base/error.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kMaxPending = size_t{16} << 20;  // what may wait for a full disk to have room again
constexpr int kMaxAttempts = 1000;

// Protobuf's wire types, in the low three bits of a field's tag.
enum class Wire : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out.push_back(static_cast<char>((value & 127) | 128));
  out.push_back(static_cast<char>(value));
}

void append_tag(std::string& out, uint32_t field, Wire wire) {
  append_varint(out, field << 3 | static_cast<uint32_t>(wire));
}

template <class T>
void append_little_endian(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

void append_double(std::string& out, uint32_t field, double value) {
  append_tag(out, field, Wire::fixed64);
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  append_little_endian(out, bits);
}

void append_float(std::string& out, uint32_t field, float value) {
  append_tag(out, field, Wire::fixed32);
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  append_little_endian(out, bits);
}

void append_bytes(std::string& out, uint32_t field, const std::string& bytes) {
  append_tag(out, field, Wire::bytes);
  append_varint(out, bytes.size());
  out += bytes;
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void append_number(std::string& out, uint32_t field, int64_t value) {
  if (value == 0) return;  // protobuf 3 leaves zeros out
  append_tag(out, field, Wire::varint);
  append_varint(out, static_cast<uint64_t>(value));
}

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

// Event: wall_time 1, step 2, summary 5.
std::string encode_event(double wall_time, int64_t step, const std::string& summary) {
  std::string event;
  append_double(event, 1, wall_time);
  append_number(event, 2, step);
  append_bytes(event, 5, summary);
  return event;
}

// Six rows of as many floats: right, wrong, true negatives (there are none to count in detection), missed, precision,
// recall.
std::string pr_curve_numbers(const PrCurve& curve) {
  std::string rows[6];
  for (size_t i = 0; i < curve.right.size(); ++i) {
    const auto right = static_cast<float>(curve.right[i]), wrong = static_cast<float>(curve.wrong[i]);
    const auto missed = static_cast<float>(curve.missed[i]);
    const auto share = [&](float whole) { return whole > 0 ? right / whole : 0.0f; };
    const float numbers[6] = {right, wrong, 0, missed, share(right + wrong), share(right + missed)};
    for (size_t row = 0; row < 6; ++row) {
      uint32_t bits;
      std::memcpy(&bits, &numbers[row], sizeof(bits));
      append_little_endian(rows[row], bits);
    }
  }
  std::string all;
  for (const std::string& row : rows) all += row;
  return all;
}

// TensorShapeProto: dim 2 of size 1.
std::string encode_shape(std::initializer_list<int64_t> sizes) {
  std::string shape;
  for (const int64_t size : sizes) {
    std::string dim;
    append_number(dim, 1, size);
    append_bytes(shape, 2, dim);
  }
  return shape;
}

// Field numbers of Event: wall_time 1, step 2, file_version 3.
std::string encode_version_event(double wall_time) {
  std::string event;
  append_double(event, 1, wall_time);
  append_bytes(event, 3, "brain.Event:2");
  return event;
}

}  // namespace

// Summary: value 1. Value: tag 1, image 4 of height 1, width 2, colorspace 3 (3 = RGB), encoded_image_string 4.
std::string encode_picture_event(double wall_time, int64_t step, const std::string& tag, const EventPicture& picture) {
  std::string image, value, summary;
  append_number(image, 1, picture.height);
  append_number(image, 2, picture.width);
  append_number(image, 3, 3);
  append_bytes(image, 4, picture.bytes);
  append_bytes(value, 1, tag);
  append_bytes(value, 4, image);
  append_bytes(summary, 1, value);
  return encode_event(wall_time, step, summary);
}

// Value: tag 1, tensor 8 of dtype 1 (1 = float), shape 2 and content 4, metadata 9. SummaryMetadata: plugin_data 1 of
// plugin_name 1 and content 2 (PrCurvePluginData: num_thresholds 2; its version is 0), data_class 4 (2 = tensor).
std::string encode_pr_curve_event(double wall_time, int64_t step, const std::string& tag, const PrCurve& curve) {
  const auto points = static_cast<int64_t>(curve.right.size());
  std::string tensor, plugin_content, plugin, metadata, value, summary;
  append_number(tensor, 1, 1);
  append_bytes(tensor, 2, encode_shape({6, points}));
  append_bytes(tensor, 4, pr_curve_numbers(curve));
  append_number(plugin_content, 2, points);
  append_bytes(plugin, 1, "pr_curves");
  append_bytes(plugin, 2, plugin_content);
  append_bytes(metadata, 1, plugin);
  append_number(metadata, 4, 2);
  append_bytes(value, 1, tag);
  append_bytes(value, 8, tensor);
  append_bytes(value, 9, metadata);
  append_bytes(summary, 1, value);
  return encode_event(wall_time, step, summary);
}

// Summary.Value: tag 1, simple_value 2.
std::string encode_scalar_event(double wall_time, int64_t step,
                                const std::vector<std::pair<std::string, float>>& values) {
  std::string summary;
  for (const auto& [tag, value] : values) {
    std::string entry;
    append_bytes(entry, 1, tag);
    append_float(entry, 2, value);
    append_bytes(summary, 1, entry);
  }
  return encode_event(wall_time, step, summary);
}

// Event: session_log 7. SessionLog: status 1, START = 1.
std::string encode_session_start_event(double wall_time, int64_t step) {
  std::string log, event;
  append_tag(log, 1, Wire::varint);
  append_varint(log, 1);
  append_double(event, 1, wall_time);
  append_number(event, 2, step);
  append_bytes(event, 7, log);
  return event;
}

std::string frame_record(const std::string& payload) {
  std::string frame;
  append_little_endian(frame, static_cast<uint64_t>(payload.size()));
  append_little_endian(frame, masked_crc32c(frame));
  frame += payload;
  append_little_endian(frame, masked_crc32c(payload));
  return frame;
}

EventWriter::EventWriter(const fs::path& folder) {
  const double now = seconds_since_1970();
  const std::string name =
      fmt::format("events.out.tfevents.{}.{}.{}", static_cast<int64_t>(now), host_name(), ::getpid());
  // A second writer of this process in the same second gets a number more, as TensorFlow's do.
  for (int attempt = 0; descriptor_ < 0 && attempt < kMaxAttempts; ++attempt) {
    path_ = folder / (attempt == 0 ? name : fmt::format("{}.{}", name, attempt));
    descriptor_ = ::open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  check(descriptor_ >= 0, "{}: cannot create: {}", path_.string(), std::strerror(errno));
  record(encode_version_event(now));
}

EventWriter::~EventWriter() {
  try {
    flush();
  } catch (const Error&) {
    // Curves are not worth a crash at the end of a run; whoever must know calls flush() first.
  }
  ::close(descriptor_);
}

void EventWriter::record(const std::string& event) {
  std::string frame = frame_record(event);
  if (pending_.size() + frame.size() > kMaxPending) {
    ++dropped_;
  } else {
    pending_ += frame;
  }
}

void EventWriter::scalars(int64_t step, const std::vector<std::pair<std::string, float>>& values) {
  record(encode_scalar_event(seconds_since_1970(), step, values));
}

void EventWriter::picture(int64_t step, const std::string& tag, const EventPicture& picture) {
  record(encode_picture_event(seconds_since_1970(), step, tag, picture));
}

void EventWriter::pr_curve(int64_t step, const std::string& tag, const PrCurve& curve) {
  record(encode_pr_curve_event(seconds_since_1970(), step, tag, curve));
}
void EventWriter::session_start(int64_t step) { record(encode_session_start_event(seconds_since_1970(), step)); }

void EventWriter::flush() {
  size_t done = 0;
  int reason = 0;
  while (done < pending_.size() && reason == 0) {
    const ssize_t put = ::write(descriptor_, pending_.data() + done, pending_.size() - done);
    if (put >= 0) {
      done += static_cast<size_t>(put);
    } else if (errno != EINTR) {
      reason = errno;
    }
  }
  if (reason == 0) {
    written_ += done;
    pending_.clear();
  } else if (done > 0 && ::ftruncate(descriptor_, static_cast<off_t>(written_)) != 0) {
    // Half a record stands in the file and cannot be taken back: go on right behind it.
    written_ += done;
    pending_.erase(0, done);
  }
  check(reason == 0, "{}: cannot write: {}; {} bytes of curves wait for the next flush", path_.string(),
        std::strerror(reason), pending_.size());
  const int64_t dropped = std::exchange(dropped_, 0);
  check(dropped == 0, "{}: {} records were dropped while the file could not be written", path_.string(), dropped);
}

}  // namespace yolov3
