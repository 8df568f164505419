// Boxes and their names drawn into pictures that people look at, and many pictures in one.
//
// Line width and text grow with the picture. A label is a filled plate in the class's colour with black or white text,
// whichever reads better; it stays inside the picture and out of the way of the other labels where there is room.
// Frame: boxes are in the pixels of the image that is drawn into; parts outside are cut off, boxes that are not finite
// are left out. Names: ASCII (other letters are drawn as ?); a class without a name is "class 7".
#pragma once

#include <string>
#include <vector>

#include "base/objects.h"
#include "image/image.h"

namespace yolov3 {

struct Color {
  uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Color&) const = default;
};

Color class_color(int class_id);  // distinct and stable

// Highest score on top; "dog 98%".
void draw_detections(Image& image, const std::vector<Detection>& detections, const std::vector<std::string>& names);

// Difficult and crowd objects are dashed and say so.
void draw_annotations(Image& image, const std::vector<Annotation>& annotations, const std::vector<std::string>& names);

// Each picture shrunk (or grown) to fit a square cell, row by row, on dark grey. No pictures: an empty picture.
Image make_grid(const std::vector<Image>& images, int columns, int cell_px);

}  // namespace yolov3
