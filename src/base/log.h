// What the program says while it works: to stderr, so that stdout holds results only.
// Threads: any. A progress line (base/progress.h) on the terminal is moved out of the way and drawn again.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace yolov3 {

void log_line(const std::string& text);    // as it is
void log_status(const std::string& text);  // replaces the last status; nothing unless stderr is a terminal
bool stderr_is_terminal();

template <class... Args>
void log_info(fmt::format_string<Args...> message, Args&&... args) {
  log_line(fmt::format(message, std::forward<Args>(args)...));
}

template <class... Args>
void log_warning(fmt::format_string<Args...> message, Args&&... args) {
  log_line("warning: " + fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace yolov3
