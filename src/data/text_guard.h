// Guards that the readers of this room share: the files they open were written by people, or by nobody.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

// The file's text. Errors: unreadable, larger than max_bytes, UTF-16 or binary (holds NUL bytes).
std::string read_text(const std::filesystem::path& path, uint64_t max_bytes);

// `name` is for messages.
void check_is_text(std::string_view text, const std::string& name);

// Well-formed UTF-8 without overlong forms, surrogates and code points past U+10FFFF (RFC 3629, section 4).
bool is_utf8(std::string_view text);

// `text` fit for a message: control characters and broken UTF-8 become '?', long text is cut.
std::string shown(std::string_view text, size_t max_bytes = 120);

// closest_match for words that a file holds: its time grows with their length, so for long ones it is not asked.
std::string likely_meant(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace yolov3
