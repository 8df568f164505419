// The one exception of the program. A message says where, what was expected, what was found and what to try:
//   "voc/a.xml:12: xmax 10 is not greater than xmin 40; swap them or run with --bad-data repair".
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace yolov3 {

class Error : public std::runtime_error {
 public:
  // Values are the program's exit codes (docs: `yolov3 --help`).
  enum class Kind { failure = 1, usage = 2, bad_data = 3, accuracy = 4 };

  explicit Error(const std::string& message, Kind kind = Kind::failure) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) {
  throw Error(fmt::format(message, std::forward<Args>(args)...));
}

// Checks what a user or a file gave us; `assert` is for our own mistakes.
template <class... Args>
void check(bool ok, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) throw Error(fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace yolov3
