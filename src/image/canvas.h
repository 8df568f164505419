// Drawing explanations over a picture: filled and outlined boxes, lines, text. (Detections: image/draw.h.)
//
// Frame: pixels of the picture that is drawn into, as floats; what lies outside is cut off. Text: ASCII.
#pragma once

#include <string>

#include "base/box.h"
#include "image/draw.h"
#include "image/image.h"

namespace yolov3 {

// The picture at `scale` times its size, with the pixels interpolated.
Image enlarged(const Image& image, double scale);

// Every pixel mixed with `color`: amount 0 leaves the picture, 1 leaves the colour.
void mix(Image& image, Color color, double amount);

void fill_box(Image& image, const Box& box, Color color, double amount);
void outline_box(Image& image, const Box& box, Color color, int width_px, bool dashed = false);
void draw_line(Image& image, float x0, float y0, float x1, float y1, Color color, int width_px);

// Capitals `height_px` high, the first one's top left corner at (x, y). Gives the width in pixels.
int draw_text(Image& image, const std::string& text, float x, float y, int height_px, Color color);
int text_width(const std::string& text, int height_px);

// `lower` under `upper`, on `color` where one is narrower.
Image stacked(const Image& upper, const Image& lower, Color color);

}  // namespace yolov3
