#include "format/event_reader.h"

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <optional>

#include "base/checksum.h"

namespace yolov3 {
namespace {

constexpr uint64_t kMaxRecord = uint64_t{64} << 20;
constexpr uint64_t kHeader = 12, kFooter = 4;

template <class T>
T little_endian(std::string_view bytes) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

// The fields of a protobuf message, one after the other.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  struct Field {
    uint64_t number = 0;
    uint64_t value = 0;      // of a varint or fixed number: its bits
    std::string_view bytes;  // of a length-delimited one
    bool is_bytes = false;
  };

  // Nothing at the end, and where the message makes no sense.
  std::optional<Field> next() {
    const std::optional<uint64_t> key = varint();
    if (!key) return std::nullopt;
    Field field;
    field.number = *key >> 3;
    switch (*key & 7) {
      case 0: return number(field, varint());
      case 1: return number(field, fixed<uint64_t>());
      case 5: return number(field, fixed<uint32_t>());
      case 2: break;
      default: return std::nullopt;  // groups
    }
    const std::optional<uint64_t> length = varint();
    if (!length || *length > rest_.size()) return std::nullopt;
    field.bytes = rest_.substr(0, *length);
    field.is_bytes = true;
    rest_.remove_prefix(*length);
    return field;
  }

 private:
  static std::optional<Field> number(Field field, std::optional<uint64_t> value) {
    if (!value) return std::nullopt;
    field.value = *value;
    return field;
  }

  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (size_t i = 0; i < 10 && i < rest_.size(); ++i) {
      const auto byte = static_cast<unsigned char>(rest_[i]);
      value |= static_cast<uint64_t>(byte & 127) << (7 * i);
      if (byte < 128) {
        rest_.remove_prefix(i + 1);
        return value;
      }
    }
    return std::nullopt;
  }

  template <class T>
  std::optional<uint64_t> fixed() {
    if (rest_.size() < sizeof(T)) return std::nullopt;
    const T value = little_endian<T>(rest_);
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  std::string_view rest_;
};

// Summary.Value: tag 1, simple_value 2.
std::optional<ScalarPoint> scalar_of_value(std::string_view message) {
  ScalarPoint point;
  bool has_value = false;
  Fields fields(message);
  while (const auto field = fields.next()) {
    if (field->number == 1 && field->is_bytes) point.tag = field->bytes;
    if (field->number == 2 && !field->is_bytes) {
      const auto bits = static_cast<uint32_t>(field->value);
      std::memcpy(&point.value, &bits, sizeof(bits));
      has_value = true;
    }
  }
  return has_value ? std::optional(point) : std::nullopt;
}

}  // namespace

// Event: step 2, summary 5; Summary: value 1.
std::vector<ScalarPoint> scalars_of_event(std::string_view event) {
  std::vector<ScalarPoint> points;
  int64_t step = 0;
  Fields fields(event);
  while (const auto field = fields.next()) {
    if (field->number == 2 && !field->is_bytes) step = static_cast<int64_t>(field->value);
    if (field->number != 5 || !field->is_bytes) continue;
    Fields values(field->bytes);
    while (const auto value = values.next()) {
      if (value->number != 1 || !value->is_bytes) continue;
      if (const auto point = scalar_of_value(value->bytes)) points.push_back(*point);
    }
  }
  for (ScalarPoint& point : points) point.step = step;
  return points;
}

void EventReader::read(const std::function<void(const ScalarPoint&)>& take) {
  std::error_code ignored;
  const uintmax_t size = std::filesystem::file_size(path_, ignored);
  if (!damage_.empty() || ignored || size < offset_ + kHeader + kFooter) return;
  std::ifstream file(path_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset_));  // once: each time would empty the stream's buffer
  std::string record;
  while (size >= offset_ + kHeader + kFooter) {
    std::string header(kHeader, '\0');
    if (!file.read(header.data(), kHeader)) return;
    const auto length = little_endian<uint64_t>(header);
    const bool sound = masked_crc32c(header.substr(0, 8)) == little_endian<uint32_t>(header.substr(8));
    if (!sound || length > kMaxRecord) {
      damage_ = fmt::format("{}: no event record at byte {}", path_.filename().string(), offset_);
      return;
    }
    if (size - offset_ - kHeader - kFooter < length) return;  // the rest is being written
    record.resize(length + kFooter);
    if (!file.read(record.data(), static_cast<std::streamsize>(record.size()))) return;
    const std::string_view event(record.data(), length);
    if (masked_crc32c(event) != little_endian<uint32_t>(std::string_view(record).substr(length))) {
      damage_ = fmt::format("{}: the event record at byte {} is damaged", path_.filename().string(), offset_);
      return;
    }
    for (const ScalarPoint& point : scalars_of_event(event)) take(point);
    offset_ += kHeader + length + kFooter;
  }
}

}  // namespace yolov3
