// Errors of what was asked, not of what was found: the program ends with the exit code of a usage error.
#pragma once

#include <utility>

#include "base/error.h"

namespace yolov3 {

template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> message, Args&&... args) {
  throw Error(fmt::format(message, std::forward<Args>(args)...), Error::Kind::usage);
}

// Checks what an option says, also against the network and the machine. The message begins with the option: "--freeze 24:
// nothing is left to train".
template <class... Args>
void check_usage(bool ok, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) fail_usage(message, std::forward<Args>(args)...);
}

}  // namespace yolov3
