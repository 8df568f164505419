// Annotation lines, the notes' format: one picture a line, `path x0,y0,x1,y1,class [x0,y0,x1,y1,class ...]`.
//
// Units: pixels, integer or decimal, x1 and y1 exclusive. Frame: box_image. A bare path is a background picture. Blank
// lines are skipped; BOM and CRLF are taken off. Boxes are parsed from the right, so a path may hold spaces; a word
// that stands after something with an image's extension and is not five numbers is a box that cannot be read, not a
// path.
// Paths are relative to the file.
// The file is read line by line: memory is what its boxes need.
// Errors, with file and line: unreadable, not text, over 5 million lines, a line of over 64 MB, over a million words that
// are no boxes. A path of more than 4096 bytes and a line of more than kMaxBoxesOfAPicture boxes are defects of their
// picture; what else is wrong in a line is left to check_boxes.h.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "data/check_boxes.h"

namespace yolov3 {

std::vector<StatedPicture> read_lines(const std::filesystem::path& path);
std::vector<StatedPicture> parse_lines(std::string_view text, const std::filesystem::path& path);

}  // namespace yolov3
