#include "data/text_guard.h"

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"

namespace yolov3 {

void check_is_text(std::string_view text, const std::string& name) {
  check(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"),
        "{}: expected UTF-8 text, found UTF-16; save it as UTF-8", name);
  check(text.find('\0') == std::string_view::npos,
        "{}: expected a text file, found binary data (or UTF-16); is this the right file?", name);
}

std::string read_text(const std::filesystem::path& path, uint64_t max_bytes) {
  std::string text = read_file(path, max_bytes);
  check_is_text(text, path.string());
  return text;
}

bool is_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xC2 && lead < 0xE0 ? 2
                          : lead >= 0xE0 && lead < 0xF0 ? 3
                          : lead >= 0xF0 && lead < 0xF5 ? 4
                                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return false;
    }
    if (length > 2) {  // the second byte's range depends on the lead
      const unsigned second = byte(i + 1);
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
          (lead == 0xF4 && second > 0x8F)) {
        return false;
      }
    }
    i += length;
  }
  return true;
}

std::string shown(std::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  if (cut) {
    size_t end = max_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
    text = text.substr(0, end);
  }
  std::string clean(text);
  const bool valid = is_utf8(text);
  for (char& c : clean) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code == 0x7F || (!valid && code >= 0x80)) c = '?';
  }
  return cut ? clean + "..." : clean;
}

std::string likely_meant(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr size_t kMaxWordBytes = 64;
  return word.size() <= kMaxWordBytes ? closest_match(word, candidates) : "";
}

}  // namespace yolov3
