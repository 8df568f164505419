#include "image/canvas.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kCapital = 21;  // height of the font's capitals at scale 1, pixels

cv::Mat view(Image& image) { return cv::Mat(image.height, image.width, CV_8UC3, image.rgb.data()); }
cv::Scalar scalar(Color c) { return {double(c.r), double(c.g), double(c.b)}; }

cv::Rect inside(const Image& image, const Box& box) {
  const Box part = clip(box, static_cast<float>(image.width), static_cast<float>(image.height));
  const int x0 = cvRound(part.x0), y0 = cvRound(part.y0);
  return {x0, y0, std::max(0, cvRound(part.x1) - x0), std::max(0, cvRound(part.y1) - y0)};
}

void mix_into(cv::Mat part, Color color, double amount) {
  cv::Mat plain(part.size(), CV_8UC3, scalar(color));
  cv::addWeighted(part, 1 - amount, plain, amount, 0, part);
}

double font_scale(int height_px) { return height_px / kCapital; }
int stroke(int height_px) { return std::max(1, cvRound(height_px / 10.0)); }

void draw_dashes(cv::Mat& mat, cv::Point from, cv::Point to, const cv::Scalar& color, int width) {
  const double length = std::hypot(to.x - from.x, to.y - from.y), dash = 3.0 * width + 3;
  for (double at = 0; at < length; at += 2 * dash) {
    const auto point = [&](double t) {
      return cv::Point(cvRound(from.x + (to.x - from.x) * t / length), cvRound(from.y + (to.y - from.y) * t / length));
    };
    cv::line(mat, point(at), point(std::min(at + dash, length)), color, width);
  }
}

}  // namespace

Image enlarged(const Image& image, double scale) {
  check(!image.empty() && scale > 0, "a picture of {}x{} cannot be drawn {} times as large", image.width, image.height,
        scale);
  Image copy = image;
  Image large(std::max(1, cvRound(image.width * scale)), std::max(1, cvRound(image.height * scale)));
  cv::Mat target = view(large);
  cv::resize(view(copy), target, target.size(), 0, 0, scale < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
  return large;
}

void mix(Image& image, Color color, double amount) { mix_into(view(image), color, amount); }

void fill_box(Image& image, const Box& box, Color color, double amount) {
  const cv::Rect part = inside(image, box);
  if (part.area() > 0) mix_into(view(image)(part), color, amount);
}

void outline_box(Image& image, const Box& box, Color color, int width_px, bool dashed) {
  cv::Mat mat = view(image);
  const auto limited = [](float v) { return cvRound(std::clamp(v, -20000.0f, 20000.0f)); };
  const int x0 = limited(box.x0), y0 = limited(box.y0), x1 = limited(box.x1) - 1, y1 = limited(box.y1) - 1;
  if (!dashed) {
    cv::rectangle(mat, {x0, y0}, {x1, y1}, scalar(color), width_px);
    return;
  }
  const cv::Point corners[] = {{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}};
  for (int i = 0; i < 4; ++i) draw_dashes(mat, corners[i], corners[(i + 1) % 4], scalar(color), width_px);
}

void draw_line(Image& image, float x0, float y0, float x1, float y1, Color color, int width_px) {
  cv::Mat mat = view(image);
  cv::line(mat, {cvRound(x0), cvRound(y0)}, {cvRound(x1), cvRound(y1)}, scalar(color), width_px,
           x0 == x1 || y0 == y1 ? cv::LINE_8 : cv::LINE_AA);
}

int draw_text(Image& image, const std::string& text, float x, float y, int height_px, Color color) {
  cv::Mat mat = view(image);
  cv::putText(mat, text, {cvRound(x), cvRound(y) + height_px}, kFont, font_scale(height_px), scalar(color),
              stroke(height_px), cv::LINE_AA);
  return text_width(text, height_px);
}

int text_width(const std::string& text, int height_px) {
  int below = 0;
  return cv::getTextSize(text, kFont, font_scale(height_px), stroke(height_px), &below).width;
}

Image stacked(const Image& upper, const Image& lower, Color color) {
  Image both(std::max(upper.width, lower.width), upper.height + lower.height);
  mix(both, color, 1);
  int y = 0;
  for (const Image* part : {&upper, &lower}) {
    Image copy = *part;
    if (!copy.empty()) view(copy).copyTo(view(both)(cv::Rect(0, y, copy.width, copy.height)));
    y += copy.height;
  }
  return both;
}

}  // namespace yolov3
