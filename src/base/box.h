// Axis-aligned boxes.
// Units: float pixels, x1 and y1 exclusive. Frame: named by the variable (box_net, box_image).
#pragma once

#include <algorithm>

namespace yolov3 {

struct Box {
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0;

  float width() const { return x1 - x0; }
  float height() const { return y1 - y0; }
  float center_x() const { return 0.5f * (x0 + x1); }
  float center_y() const { return 0.5f * (y0 + y1); }

  // 0 for an empty or inverted box, never negative.
  float area() const { return std::max(0.0f, width()) * std::max(0.0f, height()); }

  bool operator==(const Box&) const = default;
};

inline Box box_from_center(float x, float y, float width, float height) {
  return {x - 0.5f * width, y - 0.5f * height, x + 0.5f * width, y + 0.5f * height};
}

// The part of the box inside [0,width] x [0,height]; may be empty.
inline Box clip(const Box& box, float width, float height) {
  return {std::clamp(box.x0, 0.0f, width), std::clamp(box.y0, 0.0f, height), std::clamp(box.x1, 0.0f, width),
          std::clamp(box.y1, 0.0f, height)};
}

inline float intersection_area(const Box& a, const Box& b) {
  return Box{std::max(a.x0, b.x0), std::max(a.y0, b.y0), std::min(a.x1, b.x1), std::min(a.y1, b.y1)}.area();
}

// Intersection over union in [0,1]; 0 when both boxes are empty.
inline float iou(const Box& a, const Box& b) {
  const float inter = intersection_area(a, b);
  const float united = a.area() + b.area() - inter;
  return united > 0 ? inter / united : 0.0f;
}

}  // namespace yolov3
