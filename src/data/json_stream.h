// Bytes of a JSON file for nlohmann's event parser, a block at a time, with the line they are on.
//
// Nothing of the file is kept but one block, and what the parser makes of a single token, which is bounded.
// Errors: the file cannot be read; a token of more than kMaxTokenBytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <iterator>
#include <string>

namespace yolov3 {

class JsonBytes {
 public:
  static constexpr int64_t kMaxTokenBytes = 64 << 20;

  JsonBytes(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {}

  bool at_end() { return next_ == size_ && !fill(); }
  char current() const { return block_[next_]; }
  void advance() {
    if (block_[next_] == '\n') ++line_;
    ++next_;
  }
  int64_t line() const { return line_; }
  void token_ended() { last_token_ = read_; }  // the parser made something of what it read so far
  const std::string& name() const { return name_; }

 private:
  bool fill();

  std::istream& in_;
  std::string name_;
  std::array<char, 1 << 16> block_{};
  size_t next_ = 0, size_ = 0;
  int64_t line_ = 1, read_ = 0, last_token_ = 0;
};

// What nlohmann::json::sax_parse takes: JsonIterator(bytes) to JsonIterator().
class JsonIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  JsonIterator() = default;
  explicit JsonIterator(JsonBytes& bytes) : bytes_(&bytes) {}

  char operator*() const { return bytes_->current(); }
  JsonIterator& operator++() {
    bytes_->advance();
    return *this;
  }
  JsonIterator operator++(int) {
    JsonIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const JsonIterator& other) const { return ended() == other.ended(); }

 private:
  bool ended() const { return !bytes_ || bytes_->at_end(); }

  JsonBytes* bytes_ = nullptr;
};

}  // namespace yolov3
