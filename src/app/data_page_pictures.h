// The pictures of the page that `yolov3 data check --html` writes: what is wrong, cut out and marked.
#pragma once

#include <string>

#include "data/source.h"
#include "image/image.h"

namespace yolov3 {

// An <img> that needs no other file; `alt` says what it shows. Empty where the picture cannot be read.
std::string defect_picture(const Defect& defect);  // of a box: its surroundings; else the whole picture, small
std::string object_picture(const Example& example, const Annotation& object);
std::string whole_picture(const Example& example, const std::string& alt);

}  // namespace yolov3
