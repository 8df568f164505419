#include "app/html.h"

#include <fmt/format.h>

#include "base/base64.h"
#include "image/jpeg.h"

namespace yolov3 {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      case '\0': out += "\xef\xbf\xbd"; break;  // U+FFFD
      default: out += c;
    }
  }
  return out;
}

std::string page_head(std::string_view title) {
  return fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8>{}<meta name=viewport content=\"width=device-width\">"
      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'; img-src data:\"><title>{}</title><style>\n{}</style>\n",
      kPageMark, escaped(title), page_style());
}

std::string image_tag(const Image& image, const std::string& alt) {
  return fmt::format("<img alt=\"{}\" width={} height={} src=\"data:image/jpeg;base64,{}\">", escaped(alt), image.width,
                     image.height, base64(encode_jpeg(image, 82)));
}

std::string json_for_page(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";  // in JSON it stands in strings only
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace yolov3
