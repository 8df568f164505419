// What the program's pages have in common: their style, and text that stays text whatever it holds.
#pragma once

#include <string>
#include <string_view>

#include "image/image.h"

namespace yolov3 {

// For text between tags and in quoted attributes.
std::string escaped(std::string_view text);

// From <!doctype> to the style. Pages need no other file and may load none: the browser is told so.
std::string page_head(std::string_view title);

// As JPEG in the page itself.
std::string image_tag(const Image& image, const std::string& alt);

// JSON for a <script type="application/json">: nothing in it ends the script or begins a comment.
std::string json_for_page(std::string_view json);

constexpr const char* kPageMark = "<meta name=generator content=yolov3>";  // near the start of every page

// Embedded at build (cmake/embed.cmake).
std::string_view page_style();    // CSS of all pages
std::string_view chart_script();  // Chart.js (MIT licence)
std::string_view chart_licence();
std::string_view charts_script();      // elements, numbers, and Chart.js in the page's colours
std::string_view evaluation_script();  // draws what was judged
std::string_view run_script();         // draws a run, with its evaluation
std::string_view board_script();

}  // namespace yolov3
